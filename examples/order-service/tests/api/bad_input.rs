use outbox_test_support::TestEnv;
use serde_json::json;

use crate::fixture::{Answer, Service, set_up};

/// A body for POST /orders, the status of the answer, and the fields that it names.
struct Case(&'static str, u16, &'static [&'static str]);

const BODIES: &[Case] = &[
    Case(r#"{"customer_id":1,"product_id":101}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":null}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":-1}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":0}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":-0}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":10001}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":4294967298}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":18446744073709551618}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":1e400}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2.0}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2.5}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2e1}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":"2"}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":"\u0000"}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":"2\u0000'; DROP TABLE orders"}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":true}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":[2]}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":{"$gt":0}}"#, 422, &["quantity"]),
    Case(r#"{"customer_id":0,"product_id":101,"quantity":2}"#, 422, &["customer_id"]),
    Case(r#"{"customer_id":9223372036854775808,"product_id":101,"quantity":2}"#, 422, &["customer_id"]),
    Case(r#"{"customer_id":1,"product_id":-9223372036854775808,"quantity":2}"#, 422, &["product_id"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"price":0}"#, 422, &["price"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"Quantity":2}"#, 422, &["Quantity"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"id":7}"#, 422, &["id"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,"quantity":3}"#, 422, &["quantity"]),
    Case(r#"{}"#, 422, &["customer_id", "product_id", "quantity"]),
    Case(r#"{"customer_id":"1","product_id":1.5,"x":1}"#, 422, &["x", "customer_id", "product_id", "quantity"]),
    Case("[]", 422, &["body"]),
    Case("[1,101,2]", 422, &["body"]),
    Case("null", 422, &["body"]),
    Case("2", 422, &["body"]),
    Case(r#""{}""#, 422, &["body"]),
    Case("", 400, &["body"]),
    Case(" ", 400, &["body"]),
    Case("{", 400, &["body"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2"#, 400, &["body"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2}}"#, 400, &["body"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":2,}"#, 400, &["body"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":02}"#, 400, &["body"]),
    Case(r#"{"customer_id":1,"product_id":101,"quantity":NaN}"#, 400, &["body"]),
    Case("{'customer_id':1,'product_id':101,'quantity':2}", 400, &["body"]),
    Case("{\"customer_id\":1,\"product_id\":101,\"quantity\":\"2\0\"}", 400, &["body"]),
    Case("customer_id=1&product_id=101&quantity=2", 400, &["body"]),
];

const GOOD: &str = r#"{"customer_id":1,"product_id":101,"quantity":2}"#;

#[tokio::test]
async fn a_bad_body_is_answered_with_the_names_of_its_fields_and_writes_nothing() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    for Case(body, status, fields) in BODIES {
        for path in ["/orders", "/orders/"] {
            assert_problem(&service.post(path, *body).await, *status, fields, body);
        }
    }
    let not_utf8 = b"{\"customer_id\":1,\"product_id\":101,\"quantity\":2,\"\xff\":1}";
    assert_problem(&service.post("/orders", not_utf8).await, 400, &["body"], "not UTF-8");
    let nested = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_problem(&service.post("/orders", nested.clone()).await, 422, &["body"], "nested");
    let nested = format!(r#"{{"customer_id":{nested},"product_id":101,"quantity":2}}"#);
    assert_problem(&service.post("/orders", nested).await, 422, &["customer_id"], "nested member");
    let crowd: String = (0..5_000).map(|n| format!("\"f{n}\":0,")).collect();
    let answer = service.post("/orders", format!("{{{crowd}\"quantity\":0}}")).await;
    assert!(answer.problem_fields().contains(&"quantity".to_owned()) && answer.text.len() < 5_000, "{answer:?}");
    assert_eq!(written(&env).await, (0, 0));
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_answered_with_413() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let padded = |size: usize| format!("{}{GOOD}", " ".repeat(size - GOOD.len()));
    assert_problem(&service.post("/orders", padded(65_537)).await, 413, &["body"], "a byte too much");
    assert_problem(&service.post("/orders", padded(10_000_000)).await, 413, &["body"], "10 MB");
    assert_problem(&service.post("/orders", vec![0; 10_000_000]).await, 413, &["body"], "10 MB of NUL");
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
        ("POST", "/health/pipe"),
        ("POST", "/metrics"),
    ] {
        let answer = service.send(method, path, &[("content-type", "application/json")], GOOD).await;
        assert_problem(&answer, 405, &[], path);
        assert!(answer.header("allow").contains("GET"), "{answer:?}");
    }
    for path in ["/", "/order", "/orders/1/lines", "//orders", "/orders//1", "/received/1"] {
        assert_problem(&service.get(path).await, 404, &[], path);
    }
    for id in ["0", "-1", "+1", "1.0", "1e3", "abc", "9223372036854775808", "%00", "%FF", "1%20OR%201=1", "1'--"] {
        assert_problem(&service.get(&format!("/orders/{id}")).await, 400, &["id"], id);
    }
    for query in ["limit=0", "limit=501", "limit=-1", "limit=", "limit", "limit=ten", "limit=1&limit=2", "limit=%FF"] {
        for path in ["/orders", "/received"] {
            assert_problem(&service.get(&format!("{path}?{query}")).await, 400, &["limit"], query);
        }
    }
    assert_problem(&service.get("/orders?offset=5").await, 400, &["offset"], "offset");
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
