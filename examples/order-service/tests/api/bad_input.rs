use outbox_test_support::TestEnv;
use serde_json::json;

use crate::fixture::{Answer, Service, set_up};

/// A body for POST /orders, the status of the answer, and a part of its detail.
struct Case(&'static str, u16, &'static str);

const BODIES: &[Case] = &[
    Case(r#"{"customer_id":1,"product_id":101}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":null}"#, 422, "quantity"),
    Case(
        r#"{"customer_id":1,"product_id":101,"quantity":-1}"#,
        422,
        "quantity: it must be a whole number from 1 to 10000",
    ),
    Case(
        r#"{"customer_id":1,"product_id":101,"quantity":0}"#,
        422,
        "quantity: it must be a whole number from 1 to 10000",
    ),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":-0}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":10001}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":4294967298}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":18446744073709551618}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2.0}"#, 422, "expected a whole number from 1 to 10000"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2e1}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":"2"}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":"2\u0000'; DROP TABLE orders"}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":true}"#, 422, "quantity"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":[2]}"#, 422, "quantity"),
    Case(r#"{"customer_id":0,"product_id":101,"quantity":2}"#, 422, "customer_id"),
    Case(r#"{"customer_id":9223372036854775808,"product_id":101,"quantity":2}"#, 422, "customer_id"),
    Case(r#"{"customer_id":1,"product_id":-9223372036854775808,"quantity":2}"#, 422, "product_id"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"price":0}"#, 422, "price"),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"quantity":3}"#, 422, "quantity"),
    Case(r#"{}"#, 422, "customer_id"),
    Case("[]", 422, ""),
    Case("null", 422, ""),
    Case(r#""{}""#, 422, ""),
    Case("", 400, ""),
    Case("{", 400, ""),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":1e400}"#, 400, ""),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2}}"#, 400, ""),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":02}"#, 400, ""),
    Case("{'customer_id':1,'product_id':101,'quantity':2}", 400, ""),
    Case("customer_id=1&product_id=101&quantity=2", 400, ""),
];

const GOOD: &str = r#"{"customer_id":1,"product_id":101,"quantity":2}"#;

#[tokio::test]
async fn a_bad_body_is_answered_with_the_name_of_its_field_and_writes_nothing() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    for Case(body, status, detail) in BODIES {
        let answer = service.post("/orders", *body).await;
        assert_problem(&answer, *status, &["body"], body);
        let found = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(found.contains(detail) && !found.contains("i64"), "{body}: {answer:?}");
    }

    let not_utf8 = b"{\"customer_id\":1,\"product_id\":101,\"quantity\":2,\"\xff\":1}";
    assert_problem(&service.post("/orders", not_utf8).await, 400, &["body"], "not UTF-8");
    let nested = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let nested = format!(r#"{{"customer_id":{nested},"product_id":101,"quantity":2}}"#);
    let status = service.post("/orders", nested).await.status;
    assert!([400, 422].contains(&status), "nested: {status}");
    assert_eq!(written(&env).await, (0, 0));
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_answered_with_413() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let padded = |size: usize| format!("{}{GOOD}", " ".repeat(size - GOOD.len()));
    assert_problem(&service.post("/orders", padded(65_537)).await, 413, &["body"], "a byte too much");
    assert_eq!(written(&env).await, (0, 0));
    assert_eq!(service.post("/orders", padded(65_536)).await.status, 201);
}

#[tokio::test]
async fn a_request_of_the_wrong_kind_is_a_problem_and_writes_nothing() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let answer = service.send("POST", "/orders", &[("content-type", content_type)], GOOD).await;
        assert_problem(&answer, 415, &["content-type"], content_type);
    }

    for (method, path) in [
        ("DELETE", "/orders"),
        ("PUT", "/orders"),
        ("PATCH", "/orders/"),
        ("POST", "/orders/1"),
        ("DELETE", "/orders/1/"),
        ("POST", "/received"),
        ("POST", "/health"),
        ("POST", "/health/pipeline"),
        ("POST", "/ready"),
        ("POST", "/metrics"),
    ] {
        let answer = service.send(method, path, &[("content-type", "application/json")], GOOD).await;
        assert_problem(&answer, 405, &[], path);
        assert!(answer.header("allow").contains("GET"), "{answer:?}");
    }

    for path in ["/order", "/orders/1/lines", "//orders", "/orders//1", "/received/1"] {
        assert_problem(&service.get(path).await, 404, &[], path);
    }

    for id in ["0", "-1", "1.0", "1e3", "abc", "9223372036854775808", "%00", "%FF", "1%20OR%201=1", "1'--"] {
        let answer = service.get(&format!("/orders/{id}")).await;
        assert_problem(&answer, 400, &["path"], id);
        assert_eq!(answer.json()["detail"], "path: an order's id is a whole number from 1 on");
    }

    for query in ["limit=0", "limit=501", "limit=-1", "limit=", "limit", "limit=ten", "limit=1&limit=2", "limit=%FF"] {
        for path in ["/orders", "/received"] {
            let answer = service.get(&format!("{path}?{query}")).await;
            assert_problem(&answer, 400, &["query"], query);
            let expected = match query {
                "limit=1&limit=2" => "query: duplicate field `limit`",
                _ => "query: limit: it must be a whole number from 1 to 500",
            };
            assert_eq!(answer.json()["detail"], expected, "{query}");
        }
    }
    assert_problem(&service.get("/orders?before=0").await, 400, &["query"], "before");
    assert_problem(&service.get("/orders?offset=5").await, 400, &["query"], "offset");
    assert_eq!(written(&env).await, (0, 0));
}

#[tokio::test]
async fn an_order_that_does_not_exist_is_a_problem() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let answer = service.get("/orders/9223372036854775807").await;
    assert_problem(&answer, 404, &[], "no such order");
    assert_eq!(answer.json()["type"], json!("about:blank"));
    assert_eq!(answer.json()["title"], json!("Not Found"));
}

fn assert_problem(answer: &Answer, status: u16, fields: &[&str], what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.problem_fields(), fields, "{what}: {answer:?}");
}

/// Returns the rows of orders and of the outbox.
async fn written(env: &TestEnv) -> (i64, i64) {
    (env.count("order_service.orders").await, env.count("outbox.outbox_message").await)
}
