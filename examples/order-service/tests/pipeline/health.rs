use outbox_test_support::eventually;
use serde_json::Value;

use crate::fixture::{Service, connected};

#[tokio::test]
async fn the_pipe_is_told_to_be_read_and_confirmed_while_the_connector_runs() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "api").await;
    let first = service.get("/health/pipe").await.json();
    service.order(1).await;
    let health = eventually("the order is confirmed", async || {
        let health = service.get("/health/pipe").await.json();
        let is_confirmed = sign(&health, "confirmed_position")["value"] != sign(&first, "confirmed_position")["value"];
        is_confirmed.then_some(health)
    })
    .await;
    for name in ["slot_present", "slot_active", "slot_wal_status", "publication_contents", "oldest_unconfirmed"] {
        assert_eq!(sign(&health, name)["verdict"], "good", "{health:#}");
    }
    assert_eq!(sign(&health, "oldest_unconfirmed")["threshold"], 60.0);
    assert!(service.get("/metrics").await.text.contains("outbox_pipe{sign=\"slot_active\"} 1.0\n"));
}

fn sign<'a>(health: &'a Value, name: &str) -> &'a Value {
    let signs = health["signs"].as_array().unwrap();
    signs.iter().find(|sign| sign["name"] == name).unwrap_or_else(|| panic!("{name} in {health:#}"))
}
