//! Pipelines by the name of a service, and by typed settings.

use std::time::Duration;

use outbox_core::event::AggregateType;
use outbox_core::layout::ColumnType;
use outbox_core::{ConnectorConfig, Pipeline, RowLife, TableLayout};

#[test]
fn two_services_share_no_name() {
    let services = ["billing", "shipping-v2"].map(|name| Pipeline::for_service(name).unwrap());
    let names = |pipeline: &Pipeline| {
        let topic = pipeline.topic(&AggregateType::new("order").unwrap()).unwrap();
        let prefix = pipeline.config().get("topic.prefix").unwrap().to_owned();
        [pipeline.slot().as_str().to_owned(), pipeline.publication().as_str().to_owned(), prefix, topic]
    };
    let expected = ["billing_outbox_slot", "billing_outbox_publication", "billing", "billing.events.order"];
    assert_eq!(names(&services[0]), expected);
    let expected =
        ["shipping_v2_outbox_slot", "shipping_v2_outbox_publication", "shipping-v2", "shipping-v2.events.order"];
    assert_eq!(names(&services[1]), expected);

    for name in ["", "Billing", "7th", "a b", "a.b", "-a", &"x".repeat(41)] {
        assert!(Pipeline::for_service(name).unwrap_err().is_configuration(), "{name}");
    }
}

#[test]
fn the_json_that_it_writes_makes_the_same_pipeline() {
    let built = Pipeline::builder()
        .service("billing")
        .slot("other_slot")
        .publication("Other \"publication\"")
        .topic_prefix("other")
        .topics("{aggregate_type}.v1")
        .row_life(RowLife::DeleteOnInsert)
        .payload_type(ColumnType::Bytea)
        .record_limit(2_000_000)
        .heartbeat(Duration::from_secs(30))
        .option("database.sslmode", "require")
        .build()
        .unwrap();
    assert_eq!(built.record_limit(), 2_000_000);
    assert_eq!(built.config().get("heartbeat.interval.ms"), Some("30000"));

    let config = ConnectorConfig::from_json(&built.config().to_json()).unwrap();
    let read = Pipeline::new(config, built.layout().clone()).unwrap();
    assert_eq!((read.slot(), read.publication()), (built.slot(), built.publication()));
    assert_eq!(read.topic(&AggregateType::new("order").unwrap()).unwrap(), "order.v1");
    assert_eq!(read.config(), built.config());
}

#[test]
fn without_settings_it_is_the_recommended_pipeline() {
    let built = Pipeline::builder().build().unwrap();
    assert_eq!(built.config(), Pipeline::recommended().config());
    assert_eq!(built.layout(), &TableLayout::recommended());
}

#[test]
fn settings_that_break_a_rule_are_refused() {
    for builder in [
        Pipeline::builder().topics("one-topic"),
        Pipeline::builder().topics("a b.{aggregate_type}"),
        Pipeline::builder().topics("$1.{aggregate_type}"),
        Pipeline::builder().topics("{aggregate_type}.{aggregate_type}"),
        Pipeline::builder().slot("Capital"),
        Pipeline::builder().publication(""),
        Pipeline::builder().payload_type(ColumnType::Integer),
        Pipeline::builder().option("plugin.name", "wal2json"),
    ] {
        let debug = format!("{builder:?}");
        assert!(builder.build().unwrap_err().is_configuration(), "{debug}");
    }
}
