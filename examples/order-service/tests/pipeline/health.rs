use outbox_test_support::eventually;
use serde_json::Value;

use crate::fixture::{Service, connected};

#[tokio::test]
async fn the_pipeline_is_reported_as_read_and_confirmed_while_the_connector_runs() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "api").await;
    let first = service.get("/health/pipeline").await.json();
    service.order(1).await;
    let health = eventually("the order is confirmed", async || {
        let health = service.get("/health/pipeline").await.json();
        let is_confirmed =
            indicator(&health, "confirmed_position")["value"] != indicator(&first, "confirmed_position")["value"];
        is_confirmed.then_some(health)
    })
    .await;
    for name in ["slot_present", "slot_active", "slot_wal_status", "publication_contents", "oldest_unconfirmed"] {
        assert_eq!(indicator(&health, name)["status"], "good", "{health:#}");
    }

    assert_eq!(indicator(&health, "oldest_unconfirmed")["threshold"], 60.0);
    assert!(service.get("/metrics").await.text.contains("outbox_pipeline{indicator=\"slot_active\"} 1.0\n"));
}

fn indicator<'a>(health: &'a Value, name: &str) -> &'a Value {
    let indicators = health["indicators"].as_array().unwrap();
    indicators.iter().find(|indicator| indicator["name"] == name).unwrap_or_else(|| panic!("{name} in {health:#}"))
}
