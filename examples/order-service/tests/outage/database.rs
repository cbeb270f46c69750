use outbox_test_support::{eventually, stack};
use xtask::stack::Service as Server;

use crate::away::{SERVERS, while_away, while_paused};
use crate::fixture::{Service, set_up};

const ORDER: &str = r#"{"customer_id":1,"product_id":101,"quantity":2}"#;

#[tokio::test]
async fn without_postgresql_orders_are_answered_with_503_and_taken_again_when_it_is_back() {
    let _turn = SERVERS.lock().await;
    let env = set_up().await;
    let service = Service::start(&env, "all").await;
    service.order(1).await;
    while_away(&stack(), Server::Postgres, async || {
        for _ in 0..3 {
            let answer = service.post("/orders", ORDER).await;
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.problem_fields().is_empty() && !answer.text.contains("connect"), "{answer:?}");
        }
        assert_eq!(service.get("/health").await.status, 200);
    })
    .await;

    is_taken_again(&service).await;
    assert_eq!(env.count("order_service.orders").await, 2);
    assert_eq!(env.count("outbox.outbox_message").await, 2);
}

#[tokio::test]
async fn a_database_that_stands_still_does_not_hold_requests_for_ever() {
    let _turn = SERVERS.lock().await;
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    service.order(1).await;
    while_paused(&stack(), Server::Postgres, async || {
        let answer = service.post("/orders", ORDER).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text.contains("may have been carried out"), "{answer:?}");
    })
    .await;

    is_taken_again(&service).await;
    assert_eq!(
        env.count("order_service.orders").await,
        env.count("outbox.outbox_message").await,
        "stored or not, an order and its event are together"
    );
}

async fn is_taken_again(service: &Service) {
    eventually("an order is taken again", async || {
        let answer = service.post("/orders", ORDER).await;
        assert!([201, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 201).then_some(())
    })
    .await;
}
