use std::collections::BTreeSet;

use outbox_core::OutboxEvent;
use outbox_test_support::{TestEnv, stack};
use serde_json::{Value, json};
use xtask::stack::Service as Server;

use crate::away::{SERVERS, while_away};
use crate::fixture::{Service, connected};

/// An order has one event, so the order of an aggregate's events is shown by some that are enqueued next to them.
const AGGREGATES: std::ops::Range<u32> = 900_001..900_006;
const STEPS: u32 = 8;

#[tokio::test]
async fn orders_that_are_placed_without_kafka_all_arrive_and_in_order() {
    orders_arrive_after_the_absence_of(Server::Kafka).await;
}

#[tokio::test]
async fn orders_that_are_placed_without_kafka_connect_all_arrive_and_in_order() {
    orders_arrive_after_the_absence_of(Server::Connect).await;
}

async fn orders_arrive_after_the_absence_of(server: Server) {
    let _turn = SERVERS.lock().await;
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "all").await;
    let mut orders = vec![service.order(1).await];
    service.receives(1).await;
    while_away(&stack(), server, async || {
        for step in 1..=STEPS {
            for quantity in 1..=5 {
                orders.push(service.order(quantity).await);
            }
            enqueue_step(&env, step).await;
        }
        assert_eq!(service.received().await.len(), 1, "{server} is away");
    })
    .await;
    orders.push(service.order(1).await);

    let received = service.receives(orders.len() + AGGREGATES.len() * STEPS as usize).await;
    let aggregates: BTreeSet<_> = received.iter().map(|event| event["aggregate_id"].as_str().unwrap()).collect();
    for order in &orders {
        assert!(aggregates.contains(&*order["id"].to_string()), "{order}");
    }
    for aggregate in AGGREGATES {
        assert_eq!(steps_in_order(&received, aggregate), (1..=STEPS).collect::<Vec<_>>());
    }
}

/// Enqueues one event for each aggregate, whose quantity counts the events.
async fn enqueue_step(env: &TestEnv, step: u32) {
    let events: Vec<_> = AGGREGATES
        .map(|id| {
            let payload = json!({
                "order_id": id,
                "customer_id": 1,
                "product_id": 1,
                "quantity": step,
                "created_at": "2026-01-02T03:04:05Z",
            });
            OutboxEvent::builder("order", id.to_string(), "OrderCreated").json(payload.to_string()).build().unwrap()
        })
        .collect();
    env.enqueue_each(&events).await;
}

/// Returns the counts of an aggregate's events as they were handled, which is also how they are in their one partition.
fn steps_in_order(received: &[Value], aggregate: u32) -> Vec<u32> {
    let aggregate = aggregate.to_string();
    let of_it = |event: &&Value| event["aggregate_id"].as_str() == Some(&*aggregate);
    let events: Vec<_> = received.iter().rev().filter(of_it).collect();
    let offsets: Vec<_> = events.iter().map(|event| event["offset"].as_i64().unwrap()).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert_eq!(events.iter().map(|event| event["partition"].as_i64()).collect::<BTreeSet<_>>().len(), 1);
    events.iter().map(|event| u32::try_from(event["payload"]["quantity"].as_u64().unwrap()).unwrap()).collect()
}
