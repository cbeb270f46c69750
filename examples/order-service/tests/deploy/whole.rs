//! `docker compose up --wait`, service by service.

use std::collections::{BTreeMap, BTreeSet};

use outbox_kafka_consumer::outbox_kafka::{Cluster, NewTopic, Settings};
use outbox_test_support::{eventually, stack};
use serde_json::{Value, json};
use ureq::http::Request;

use crate::compose::condition;
use crate::fixture::http::Http;
use crate::plain::Plain;
use crate::prometheus::{Prometheus, alert, metric_names, queries};

#[tokio::test]
async fn the_whole_runs_with_the_relay_and_all_queries_find_their_metrics() {
    let plain = Plain::new().await;
    let services = plain.compose().services("relay");
    set_up(&plain, &services).await;
    spoil_heartbeats(&plain).await;
    let relay = plain.start("relay", services["relay"]).await;
    let _service = plain.start("order-service", services["order-service"]).await;
    order_is_received(&plain).await;
    plain.run("outbox", plain.compose().services("tools")["outbox"]).await;

    let prometheus = Prometheus::start(&plain).await;
    for query in queries() {
        prometheus.query(&query).await.unwrap();
    }
    cause_trouble(&plain).await;

    // Those of Kafka Connect have a test of their own.
    for name in metric_names(&queries()).iter().filter(|name| name.starts_with("outbox_")) {
        prometheus.finds(name).await;
    }

    // The service and the relay agree, and both see when the relay is gone.
    let (slot, relays) = (alert("OutboxSlotInactive"), alert("OutboxRelayGone"));
    for healthy in [r#"outbox_pipeline{indicator="slot_active"} == 1"#, r#"outbox_relay_mode{mode="live"} == 1"#] {
        prometheus.finds(healthy).await;
    }
    for alert in [&slot, &relays] {
        assert_eq!(prometheus.query(alert).await.unwrap(), json!([]), "{alert}");
    }
    drop(relay);
    for alert in [&slot, &relays] {
        prometheus.finds(alert).await;
    }
}

#[tokio::test]
async fn the_whole_runs_with_debezium() {
    let plain = Plain::new().await;
    let services = plain.compose().services("debezium");
    let _deleted_at_the_end = plain.connector();
    set_up(&plain, &services).await;
    let _service = plain.start("order-service", services["order-service"]).await;
    order_is_received(&plain).await;
    let status = plain.outbox(&["connector", "status", plain.env.name()]).await;
    assert!(status.status.success(), "{status:?}");
}

/// Runs the one-shot services in the order of their dependencies, twice: a second `up` runs them again.
async fn set_up(plain: &Plain, services: &BTreeMap<&str, &Value>) {
    for _ in 0..2 {
        let mut ended = BTreeSet::new();
        let setups: Vec<_> = services.iter().filter(|(name, _)| name.starts_with("setup-")).collect();
        while ended.len() < setups.len() {
            let is_next = |(name, service): &&&(&&str, &&Value)| {
                let mut waits = setups.iter().filter(|(other, _)| condition(service, other).is_some());
                !ended.contains(**name) && waits.all(|(other, _)| ended.contains(**other))
            };
            let (name, service) = setups.iter().find(|setup| is_next(&setup)).unwrap();
            plain.run(name, service).await;
            ended.insert(**name);
        }
    }
}

async fn place_order(plain: &Plain) {
    let body = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 }).to_string();
    let request = Request::post(format!("http://{}/orders", plain.service_address()));
    let request = request.header("content-type", "application/json").body(body.into_bytes()).unwrap();
    let answer = Http::new().send(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

async fn order_is_received(plain: &Plain) {
    place_order(plain).await;
    eventually("the order is received", async || {
        let received = plain.get(&format!("http://{}/received", plain.service_address())).await;
        if received.json().as_array().is_some_and(|events| events.len() == 1) { Ok(()) } else { Err(received) }
    })
    .await;
}

/// Creates the topic of heartbeats so that it takes no record: the relay counts the errors of Kafka.
async fn spoil_heartbeats(plain: &Plain) {
    let cluster = Cluster::new(Settings::new(stack().kafka_bootstrap().split(',')));
    let name = format!("__debezium-heartbeat.{}", plain.env.name());
    let configs = [("max.message.bytes".to_owned(), "1".to_owned())].into();
    cluster.create_topic(&NewTopic { name, partitions: Some(1), configs, ..NewTopic::default() }).await.unwrap();
}

/// Lets the service and the relay count what does not happen in good days: failures of the handler, duplicates, and a
/// lost connection.
async fn cause_trouble(plain: &Plain) {
    let client = plain.env.client().await;
    let rename = async |from: &str, to: &str| {
        client.batch_execute(&format!("ALTER TABLE order_service.{from} RENAME TO {to}")).await.unwrap();
    };
    rename("received_event", "hidden_event").await;
    place_order(plain).await;
    let metrics = format!("http://{}/metrics", plain.service_address());
    eventually("the handler has given the event up for now", async || {
        let text = plain.get(&metrics).await.text;
        text.lines().any(|line| line.starts_with("outbox_consumer_held_total{")).then_some(())
    })
    .await;
    rename("hidden_event", "received_event").await;

    let config = plain.directory().join("built-in.json").display().to_string();
    let replay = ["replay", "run", "again", "--all", "--yes", "--connector-config", &config];
    let replayed = plain.outbox(&replay).await;
    assert!(replayed.status.success(), "{replayed:?}");
    let reader = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active";
    client.execute(reader, &[&plain.env.name()]).await.unwrap();
}
