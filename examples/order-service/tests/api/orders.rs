use serde_json::{Value, json};

use crate::fixture::{Service, set_up};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn an_order_is_answered_with_201_and_found_again_with_and_without_a_slash() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let mut orders = Vec::new();

    for (path, quantity) in [("/orders", 2), ("/orders/", 10_000)] {
        let body = json!({ "customer_id": 1, "product_id": 101, "quantity": quantity });
        let answer = service.post(path, body.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let order = answer.json();
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(order[name], *value);
        }

        assert_eq!(order.as_object().unwrap().len(), 5);
        assert!(order["created_at"].as_str().unwrap().ends_with('Z'), "{order}");
        assert_eq!(answer.header("location"), format!("/orders/{}", order["id"]));
        for slash in ["", "/"] {
            let found = service.get(&format!("{}{slash}", answer.header("location"))).await;
            assert_eq!((found.status, found.json()), (200, order.clone()));
        }
        orders.insert(0, order);
    }

    for path in ["/orders", "/orders/", "/orders?limit=500"] {
        assert_eq!(service.get(path).await.json(), Value::from(orders.clone()));
    }

    assert_eq!(service.get("/orders?limit=1").await.json(), json!([orders[0]]));
    assert_eq!(service.get("/received").await.json(), json!([]));

    for (path, status) in [("/health", "ok"), ("/ready", "ready")] {
        let answer = service.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": status })));
    }
}

#[tokio::test]
async fn an_order_and_its_event_are_in_the_database_together() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let order = service.order(2).await;
    let sql = "SELECT aggregate_type, aggregate_id, event_type, payload::text, traceparent,
                          created_at = (SELECT created_at AT TIME ZONE 'UTC' FROM order_service.orders)
                   FROM outbox.outbox_message";
    let row = env.client().await.query_one(sql, &[]).await.unwrap();
    let text = |index: usize| row.get::<_, String>(index);
    assert_eq!((text(0), text(1), text(2)), ("order".into(), order["id"].to_string(), "OrderCreated".into()));

    let expected = json!({
        "order_id": order["id"],
        "customer_id": 1,
        "product_id": 101,
        "quantity": 2,
        "created_at": order["created_at"],
    });

    assert_eq!(serde_json::from_str::<Value>(&text(3)).unwrap(), expected);
    assert_eq!(text(4), "");
    assert!(row.get::<_, bool>(5), "event and order have the same time");
}

#[tokio::test]
async fn a_valid_traceparent_goes_into_the_event_and_an_invalid_one_is_ignored() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let invalid = ["", "00-zz", &TRACEPARENT.to_uppercase(), &TRACEPARENT.replace("00-", "ff-")];
    let cases = invalid.iter().map(|value| (*value, "")).chain([(TRACEPARENT, TRACEPARENT)]);

    for (sent, kept) in cases {
        let headers = [("content-type", "application/json"), ("traceparent", sent)];
        let body = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
        let answer = service.send("POST", "/orders", &headers, body.to_string()).await;
        assert_eq!(answer.status, 201, "{sent:?}: {answer:?}");
        let sql = "SELECT traceparent FROM outbox.outbox_message WHERE aggregate_id = $1";
        let id = answer.json()["id"].to_string();
        let row = env.client().await.query_one(sql, &[&id]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), kept, "{sent:?}");
    }
}

#[tokio::test]
async fn orders_at_the_limits_are_taken() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let body = json!({ "customer_id": i64::MAX, "product_id": i64::MAX, "quantity": 1 });
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = service.send("POST", "/orders", &headers, body.to_string()).await;
    assert_eq!((answer.status, &answer.json()["customer_id"]), (201, &json!(i64::MAX)));
}

#[tokio::test]
async fn orders_that_come_at_once_each_have_their_event() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let orders = futures_util::future::join_all((1..=100).map(|quantity| service.order(quantity))).await;
    let ids: std::collections::BTreeSet<_> = orders.iter().map(|order| order["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    let sql = "SELECT count(*) FROM order_service.orders o JOIN outbox.outbox_message m
                   ON m.aggregate_id = o.id::text AND (m.payload->>'quantity')::int = o.quantity";
    assert_eq!(env.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 100);
}

#[tokio::test]
async fn the_list_of_orders_is_read_part_by_part() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    for quantity in 1..=5 {
        service.order(quantity).await;
    }

    let (mut path, mut parts) = ("/orders?limit=2".to_owned(), Vec::new());
    loop {
        let answer = service.get(&path).await;
        let orders = answer.json();
        let quantities = orders.as_array().unwrap().iter().map(|order| order["quantity"].as_u64().unwrap());
        parts.push(quantities.collect::<Vec<_>>());
        let Some(next) = answer.header("link").strip_suffix(">; rel=\"next\"") else { break };
        path = next.trim_start_matches('<').to_owned();
    }
    assert_eq!(parts, [vec![5, 4], vec![3, 2], vec![1]]);
}
