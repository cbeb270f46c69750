use outbox_pg::{PipelineMonitor, Thresholds};
use outbox_test_support::TestEnv;
use serde_json::Value;

use crate::fixture::{Service, drop_slot, set_up};

#[tokio::test]
async fn the_health_of_the_pipeline_has_each_indicator_with_its_remedy() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let answer = service.get("/health/pipeline").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (200, &Value::from("warning")), "{health:#}");
    let indicators = health["indicators"].as_array().unwrap();
    let names: Vec<_> = indicators.iter().map(|indicator| indicator["name"].as_str().unwrap()).collect();
    let mut monitor = PipelineMonitor::new(env.pipeline().clone(), Thresholds::default());
    let expected = monitor.check(&env.client().await).await.unwrap();
    assert_eq!(names, expected.indicators().iter().map(|indicator| indicator.name).collect::<Vec<_>>());

    for indicator in indicators {
        assert_eq!(indicator["remedy"].is_string(), indicator["status"] != "good", "{indicator}");
    }

    assert_eq!(indicator(&health, "wal_level")["threshold"], "logical");
    assert!(
        indicator(&health, "wal_held_back")["value"].as_u64()
            < indicator(&health, "wal_held_back")["threshold"].as_u64()
    );
    let inactive = indicator(&health, "slot_active");
    assert_eq!((&inactive["value"], &inactive["status"]), (&Value::from(false), &Value::from("warning")));
    assert!(inactive["remedy"].as_str().unwrap().contains("start the connector"));

    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics:?}");
    let has = |line: &str| metrics.text.lines().any(|found| found == line);
    assert!(has(r#"outbox_pipeline{indicator="slot_present"} 1.0"#), "{metrics:?}");
    for name in names {
        assert!(
            metrics.text.contains(&format!("outbox_pipeline_status{{indicator=\"{name}\"}} ")),
            "{name}: {metrics:?}"
        );
    }
    assert!(has(r#"outbox_pipeline_status{indicator="slot_active"} 1.0"#), "{metrics:?}");
}

#[tokio::test]
async fn a_pipeline_that_leads_nowhere_is_critical_and_orders_are_taken_none_the_less() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    lose_slot(&env).await;
    let answer = service.get("/health/pipeline").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (503, &Value::from("critical")), "{health:#}");
    for name in ["slot_present", "readiness"] {
        assert_eq!(indicator(&health, name)["status"], "critical");
        assert!(indicator(&health, name)["remedy"].as_str().unwrap().contains("create_slot"), "{health:#}");
    }

    let metrics = service.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("outbox_pipeline{indicator=\"slot_present\"} 0.0\n"), "{metrics:?}");
    assert!(metrics.text.contains("outbox_pipeline_status{indicator=\"readiness\"} 2.0\n"), "{metrics:?}");
    assert_eq!(service.get("/health").await.status, 200);
    service.order(1).await;
}

async fn lose_slot(env: &TestEnv) {
    drop_slot(&env.client().await, env.pipeline().slot().as_str()).await;
}

fn indicator<'a>(health: &'a Value, name: &str) -> &'a Value {
    let indicators = health["indicators"].as_array().unwrap();
    indicators.iter().find(|indicator| indicator["name"] == name).unwrap_or_else(|| panic!("{name} in {health:#}"))
}
