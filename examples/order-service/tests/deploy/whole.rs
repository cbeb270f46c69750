//! `docker compose up --wait`, service by service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use outbox_test_support::eventually;
use serde_json::{Value, json};
use ureq::http::Request;
use xtask::stack::workspace;

use crate::compose::condition;
use crate::files::yaml;
use crate::fixture::http::Http;
use crate::plain::Plain;
use crate::prometheus::{Prometheus, alert, metric_names, queries};

#[tokio::test]
async fn the_whole_runs_with_the_relay_and_all_queries_find_their_metrics() {
    let plain = Plain::new().await;
    let services = plain.compose().services("relay");
    set_up(&plain, &services).await;
    let relay = plain.start("relay", services["relay"]).await;
    let _service = plain.start("order-service", services["order-service"]).await;
    order_is_received(&plain).await;
    plain.run("outbox", plain.compose().services("tools")["outbox"]).await;

    let prometheus = Prometheus::start(&plain).await;
    for query in queries() {
        prometheus.query(&query).await.unwrap();
    }
    let exported = exported(&plain).await;
    for name in metric_names(&queries()) {
        assert!(
            exported.contains(&name) || named_by_jmx_exporter(&name) || is_recorded(&name),
            "{name} is exported by nothing"
        );
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

async fn order_is_received(plain: &Plain) {
    let url = |path: &str| format!("http://{}{path}", plain.service_address());
    let body = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 }).to_string();
    let request = Request::post(url("/orders")).header("content-type", "application/json");
    let answer = Http::new().send(request.body(body.into_bytes()).unwrap()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    eventually("the order is received", async || {
        let received = plain.get(&url("/received")).await;
        if received.json().as_array().is_some_and(|events| events.len() == 1) { Ok(()) } else { Err(received) }
    })
    .await;
}

/// Returns whether connect-jmx.yml has the name, with `$2` in place of one of the kinds of tasks.
fn named_by_jmx_exporter(name: &str) -> bool {
    let rules = yaml("prometheus/connect-jmx.yml")["rules"].as_array().unwrap().clone();
    rules.iter().any(|rule| {
        let (pattern, named) = (rule["pattern"].as_str().unwrap(), rule["name"].as_str().unwrap());
        let Some((before, after)) = named.split_once("$2") else { return named == name };
        let kind = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        kind.is_some_and(|kind| pattern.contains(&format!("|{kind}|")))
    })
}

/// Returns whether the consumer or the relay records a metric of this name. A series with labels appears when something
/// is counted for the first time, such as a dead letter or an error of Kafka, so healthy processes do not export all.
fn is_recorded(name: &str) -> bool {
    let (file, literal) = match name.strip_prefix("outbox_relay_") {
        Some(rest) => ("outbox-relay/src/status/metrics.rs", rest.strip_suffix("_total").unwrap_or(rest)),
        None => ("outbox-kafka-consumer/src/runtime/measure.rs", name),
    };
    let source = fs::read_to_string(workspace().join("crates").join(file)).unwrap();
    source.contains(&format!("\"{literal}\""))
}

/// Returns the names of all metrics that the relay, the service and the consumer export.
async fn exported(plain: &Plain) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for address in [plain.relay_address(), plain.service_address()] {
        let text = plain.get(&format!("http://{address}/metrics")).await.text;
        for line in text.lines() {
            let described = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
            if let Some((name, kind)) = described {
                names.insert(match kind {
                    "counter" => format!("{name}_total"),
                    "info" => format!("{name}_info"),
                    "histogram" => format!("{name}_bucket"),
                    _ => name.to_owned(),
                });
            }
        }
    }
    names
}
