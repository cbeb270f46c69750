//! The service with nothing installed next to it: one command, one order, one event.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Ends with the test, however that ends.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into()
}

#[test]
fn an_order_is_at_the_consumer_within_seconds_of_the_start() {
    order_arrives("table");
}

#[test]
fn without_a_table_an_order_is_at_the_consumer_too() {
    order_arrives("message");
}

fn order_arrives(outbox: &str) {
    let port = xtask::stack::free_port().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-service"));
    for name in ["DATABASE_URL", "KAFKA_BROKERS", "CONNECTOR_CONFIG", "OUTBOX", "MODE", "RUST_LOG"] {
        command.env_remove(name);
    }
    let started = Instant::now();
    let child = command
        .args(["--outbox", outbox])
        .env("LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut service = Service(child);
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let deadline = started + Duration::from_secs(120);
    let order: Value = loop {
        let order = json!({"customer_id": 1, "product_id": 101, "quantity": 2});
        if let Ok(mut answer) = agent().post(url("/orders")).send_json(order) {
            assert_eq!(answer.status(), 201);
            break answer.body_mut().read_json().unwrap();
        }
        assert!(Instant::now() < deadline && service.0.try_wait().unwrap().is_none(), "the service does not answer");
        std::thread::sleep(Duration::from_millis(50));
    };
    let posted = Instant::now();
    let event: Value = loop {
        let received: Vec<Value> = agent().get(url("/received")).call().unwrap().body_mut().read_json().unwrap();
        if let Some(event) = received.into_iter().next() {
            break event;
        }
        assert!(posted.elapsed() < Duration::from_secs(10), "the event does not arrive");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(event["aggregate_id"], order["id"].to_string());
    assert_eq!(event["payload"]["quantity"], 2);
    assert_eq!(event["topic"], "outbox.events.order");

    let pid = Pid::from_raw(service.0.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(service.0.wait().unwrap().success());
}
