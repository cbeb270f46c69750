use outbox_test_support::TestEnv;
use serde_json::Value;

use crate::fixture::{Service, drop_slot, set_up};

/// All that learns of a pipe that keeps its rows, in the order in which it is looked at.
const SIGNS: [&str; 11] = [
    "wal_level",
    "max_slot_wal_keep_size",
    "slot_present",
    "slot_active",
    "slot_wal_status",
    "wal_held_back",
    "confirmed_position",
    "oldest_unconfirmed",
    "publication_contents",
    "publication_older_than_slot",
    "replica_identity",
];

#[tokio::test]
async fn the_pipes_health_is_told_sign_by_sign_with_its_remedies() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let answer = service.get("/health/pipe").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["verdict"]), (200, &Value::from("warning")), "{health:#}");
    let signs = health["signs"].as_array().unwrap();
    let names: Vec<_> = signs.iter().map(|sign| sign["name"].as_str().unwrap()).collect();
    assert_eq!(names, SIGNS);
    for sign in signs {
        assert_eq!(sign["remedy"].is_string(), sign["verdict"] != "good", "{sign}");
    }
    assert_eq!(sign(&health, "wal_level")["threshold"], "logical");
    assert!(sign(&health, "wal_held_back")["value"].as_u64() < sign(&health, "wal_held_back")["threshold"].as_u64());
    let inactive = sign(&health, "slot_active");
    assert_eq!((&inactive["value"], &inactive["verdict"]), (&Value::from(false), &Value::from("warning")));
    assert!(inactive["remedy"].as_str().unwrap().contains("start the connector"));

    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics:?}");
    let has = |line: &str| metrics.text.lines().any(|found| found == line);
    assert!(has(r#"outbox_pipe{sign="slot_present"} 1.0"#), "{metrics:?}");
    for name in SIGNS {
        assert!(metrics.text.contains(&format!("outbox_pipe_verdict{{sign=\"{name}\"}} ")), "{name}: {metrics:?}");
    }
    assert!(has(r#"outbox_pipe_verdict{sign="slot_active"} 1.0"#), "{metrics:?}");
}

#[tokio::test]
async fn a_pipe_that_leads_nowhere_is_critical_and_orders_are_taken_none_the_less() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    lose_slot(&env).await;
    let answer = service.get("/health/pipe").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["verdict"]), (503, &Value::from("critical")), "{health:#}");
    for name in ["slot_present", "readiness"] {
        assert_eq!(sign(&health, name)["verdict"], "critical");
        assert!(sign(&health, name)["remedy"].as_str().unwrap().contains("create_slot"), "{health:#}");
    }
    let metrics = service.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("outbox_pipe{sign=\"slot_present\"} 0.0\n"), "{metrics:?}");
    assert!(metrics.text.contains("outbox_pipe_verdict{sign=\"readiness\"} 2.0\n"), "{metrics:?}");
    assert_eq!(service.get("/health").await.status, 200);
    service.order(1).await;
}

async fn lose_slot(env: &TestEnv) {
    drop_slot(&env.client().await, env.pipeline().slot().as_str()).await;
}

fn sign<'a>(health: &'a Value, name: &str) -> &'a Value {
    let signs = health["signs"].as_array().unwrap();
    signs.iter().find(|sign| sign["name"] == name).unwrap_or_else(|| panic!("{name} in {health:#}"))
}
