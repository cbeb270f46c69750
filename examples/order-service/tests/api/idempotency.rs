use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{Answer, Service, set_up};

async fn post(service: &Service, key: &str, quantity: u32) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let body = json!({ "customer_id": 1, "product_id": 101, "quantity": quantity });
    service.send("POST", "/orders", &headers, body.to_string()).await
}

#[tokio::test]
async fn a_request_with_the_same_key_stores_one_order_and_one_event() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let key = Uuid::now_v7().to_string();
    let first = post(&service, &key, 2).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{first:?}");

    for _ in 0..2 {
        let again = post(&service, &key, 2).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{again:?}");
        assert_eq!((again.json(), again.header("location")), (first.json(), first.header("location")));
    }
    let other = post(&service, &key, 3).await;
    assert_eq!((other.status, other.problem_fields()), (422, vec!["Idempotency-Key".to_owned()]));

    let sql = "SELECT id::text FROM outbox.outbox_message";
    let rows = env.client().await.query(sql, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), [key]);
    assert_eq!(env.count("order_service.orders").await, 1);
}

#[tokio::test]
async fn requests_with_the_same_key_at_once_store_one_order() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let key = Uuid::now_v7().to_string();
    let answers = futures_util::future::join_all((0..10).map(|_| post(&service, &key, 2))).await;
    let orders: Vec<Value> = answers.iter().map(Answer::json).collect();
    assert!(answers.iter().all(|answer| answer.status == 201) && orders.windows(2).all(|two| two[0] == two[1]));
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count(), 1);
    assert_eq!((env.count("order_service.orders").await, env.count("outbox.outbox_message").await), (1, 1));
}

#[tokio::test]
async fn a_key_that_is_no_recent_uuid_of_version_7_is_refused() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    for key in ["", "1", "c0ffee00-0000-4000-8000-000000000001", "01800000-0000-7000-8000-000000000001"] {
        let answer = post(&service, key, 2).await;
        assert_eq!((answer.status, answer.problem_fields()), (400, vec!["Idempotency-Key".to_owned()]), "{key}");
    }
    assert_eq!(env.count("order_service.orders").await, 0);
}
