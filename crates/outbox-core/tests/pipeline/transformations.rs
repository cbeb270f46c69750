//! Other transformations next to the EventRouter, and several routers.

use outbox_core::bytes::Bytes;
use outbox_core::connector::{DroppedBy, HeartbeatRecord, RowDisposition};
use outbox_core::layout::ColumnValue;
use outbox_core::{ConnectorConfig, Error, Pipeline, TableLayout};

use crate::fixtures::{JSON, decoded, order, recommended, router};

const KAFKA: &str = "org.apache.kafka.connect.transforms.";
const ROUTER: &str = "io.debezium.transforms.outbox.EventRouter";

fn with(config: ConnectorConfig, name: &str, class: &str, options: &[(&str, &str)]) -> ConnectorConfig {
    let transforms = format!("{},{name}", config.get("transforms").unwrap());
    let config = config.with("transforms", transforms).with(format!("transforms.{name}.type"), class);
    options.iter().fold(config, |config, (option, value)| config.with(format!("transforms.{name}.{option}"), *value))
}

fn predicate(config: ConnectorConfig, name: &str, pattern: &str) -> ConnectorConfig {
    config
        .with("predicates", name)
        .with(format!("predicates.{name}.type"), format!("{KAFKA}predicates.TopicNameMatches"))
        .with(format!("predicates.{name}.pattern"), pattern)
}

fn pipeline(config: ConnectorConfig) -> Result<Pipeline, Error> {
    Pipeline::new(config, TableLayout::recommended())
}

#[test]
fn the_router_whose_predicate_matches_the_table_counts() {
    let second = with(
        recommended().with(router("predicate"), "isOther"),
        "second",
        ROUTER,
        &[
            ("predicate", "isOther"),
            ("negate", "true"),
            ("route.topic.replacement", "second.${routedByValue}"),
            ("route.by.field", "aggregate_type"),
            ("table.field.event.key", "aggregate_id"),
            ("table.fields.additional.placement", "event_type:header"),
        ],
    );
    let config = predicate(second, "isOther", "outbox\\.public\\.other");

    assert_eq!(config.router_of("public", "other"), Some("outbox"));
    assert_eq!(config.router_of("outbox", "outbox_message"), Some("second"));

    let pipeline = pipeline(config.clone()).unwrap();
    let row = pipeline.row(&order().build().unwrap()).unwrap();
    assert_eq!(pipeline.encode(&row).unwrap().topic, "second.order");
    assert!(config.uses_column(("public", "other"), "content_type"));
    assert!(!config.uses_column(("outbox", "outbox_message"), "content_type"));

    let unseen = config.with("transforms.second.predicate", "isOther").with("transforms.second.negate", "false");
    assert_eq!(unseen.disposition("outbox", "outbox_message").unwrap(), RowDisposition::NotRouted);
    let error = self::pipeline(unseen).unwrap_err();
    assert!(error.to_string().contains("change events"), "{error}");
}

#[test]
fn a_filter_drops_a_table_or_single_records() {
    let filter = format!("{KAFKA}Filter");
    let before =
        predicate(with(recommended(), "filter", &filter, &[("predicate", "isOther")]), "isOther", ".*\\.other")
            .with("transforms", "filter,outbox");
    assert_eq!(before.disposition("public", "other").unwrap(), RowDisposition::Filtered);
    assert_eq!(before.disposition("public", "outbox").unwrap(), RowDisposition::Routed);

    let after = predicate(with(recommended(), "filter", &filter, &[("predicate", "isOrder")]), "isOrder", ".*order");
    let pipeline = pipeline(after).unwrap();
    let encoded = |kind: &str| {
        let event = outbox_core::OutboxEvent::builder(kind, "1", "Made").build().unwrap();
        pipeline.encode(&pipeline.row(&event).unwrap())
    };
    let dropped = encoded("order").unwrap_err();
    assert!(dropped.is_filtered());
    assert_eq!(dropped.dropped_by(), Some(DroppedBy::Filter));
    assert_eq!(encoded("invoice").unwrap().topic, "outbox.events.invoice");
}

#[test]
fn what_cannot_be_followed_is_refused_unless_a_predicate_excludes_it() {
    let hoist = format!("{KAFKA}HoistField$Value");
    let hoisted = |pattern| predicate(with(recommended(), "hoist", &hoist, &[("predicate", "p")]), "p", pattern);
    for pattern in ["__debezium-heartbeat.*", "outbox\\.public\\.customers", "a"] {
        assert!(pipeline(hoisted(pattern)).is_ok(), "{pattern}");
    }
    for pattern in ["outbox\\.events\\..*", ".*heartbeat.*", "a|b"] {
        assert_eq!(pipeline(hoisted(pattern)).unwrap_err().field(), Some("transforms.hoist.type"), "{pattern}");
    }

    let insert = |literal| {
        with(recommended(), "i", &format!("{KAFKA}InsertHeader"), &[("header", "h"), ("value.literal", literal)])
    };
    for literal in ["12:30:00", "null", "{\"a\":1}", "True"] {
        assert_eq!(pipeline(insert(literal)).unwrap_err().field(), Some("transforms.i.value.literal"), "{literal}");
    }
    let drop = |headers| with(recommended(), "d", &format!("{KAFKA}DropHeaders"), &[("headers", headers)]);
    assert!(pipeline(drop("event_type")).is_ok());
    assert_eq!(pipeline(drop("id")).unwrap_err().field(), Some("transforms.d.headers"));
    let unwrap = "io.debezium.transforms.ExtractNewRecordState";
    let first = with(recommended(), "unwrap", unwrap, &[]).with("transforms", "unwrap,outbox");
    assert_eq!(pipeline(first).unwrap_err().field(), Some("transforms.unwrap.type"));
}

#[test]
fn a_logical_topic_router_is_refused_where_its_task_fails() {
    let logical = |pattern, more: &[(&str, &str)]| {
        let options = [&[("topic.regex", pattern), ("topic.replacement", "all")], more].concat();
        with(recommended(), "logical", "io.debezium.transforms.ByLogicalTableRouter", &options)
    };
    assert!(pipeline(logical("outbox\\.outbox\\.part_\\d", &[])).is_ok());
    assert_eq!(pipeline(logical(".*", &[])).unwrap_err().field(), Some("transforms.logical.type"));
    for (option, value, field) in [
        ("key.field.regex", "(.*)", "key.field.replacement"),
        ("topic.replacement", "$1", "topic.replacement"),
        ("topic.regex", "(", "topic.regex"),
        ("key.enforce.uniqueness", "yes", "key.enforce.uniqueness"),
        ("schema.name.adjustment.mode", "avro", "schema.name.adjustment.mode"),
    ] {
        let config = logical("x\\..*", &[(option, value)]);
        let error = pipeline(config.with("transforms", "logical,outbox")).unwrap_err();
        assert_eq!(error.field(), Some(&*format!("transforms.logical.{field}")), "{error}");
    }

    let timescale = |options: &[(&str, &str)]| {
        let class = "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb";
        pipeline(with(recommended(), "chunks", class, options).with("transforms", "chunks,outbox"))
    };
    assert!(timescale(&[]).is_ok());
    assert!(timescale(&[("schema.list", "a, outbox")]).is_err());

    // Predicates see the new topic.
    let config = predicate(logical("outbox\\.outbox\\.(.*)", &[]), "isAll", "all").with("transforms", "logical,outbox");
    let config = config.with(router("predicate"), "isAll");
    assert_eq!(config.router_of("outbox", "outbox_message"), Some("outbox"));
    assert_eq!(config.router_of("public", "outbox_message"), None);
}

#[test]
fn a_filter_drops_heartbeats_and_what_cannot_be_followed_is_an_error() {
    let of = |class: &str| {
        let pattern = "__debezium-heartbeat\\.outbox";
        let config = with(recommended(), "t", &format!("{KAFKA}{class}"), &[("predicate", "isBeat")]);
        HeartbeatRecord::from_config(&predicate(config, "isBeat", pattern))
    };
    assert!(of("Filter").unwrap().is_none());
    assert_eq!(of("HoistField$Value").unwrap_err().field(), Some("transforms.t.type"));
    // The StringConverter writes no schemas.
    assert_eq!(of("SetSchemaMetadata$Value").unwrap().unwrap().topic(), "__debezium-heartbeat.outbox");
    let bytes = recommended().with("value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter");
    assert_eq!(HeartbeatRecord::from_config(&bytes).unwrap_err().field(), Some("value.converter"));
}

#[test]
fn headers_of_a_json_converter_are_decoded() {
    for schemas in ["true", "false"] {
        let config = recommended().with("header.converter", JSON).with("header.converter.schemas.enable", schemas);
        let pipeline = pipeline(config).unwrap();
        let event = order().header("tenant", "ä \"1\"").build().unwrap();
        let mut record = pipeline.encode(&pipeline.row(&event).unwrap()).unwrap();
        // Those of a client are not the converter's.
        record.headers.push(("trace".into(), Some(Bytes::from_static(b"{plain"))));
        let id = record.header("id").unwrap().clone();
        assert!(id.starts_with(if schemas == "true" { b"{\"schema\":{" } else { b"\"" }));
        assert_eq!(outbox_core::record::event_identity("t", &id), Some(event.id().as_uuid()));

        let found = decoded(&pipeline, record);
        assert_eq!(found.id, event.id().as_uuid());
        assert_eq!(found.event_type.as_deref(), Some("OrderCreated"));
        assert_eq!(found.headers.get("tenant"), Some("ä \"1\""));
    }
}

#[test]
fn topics_of_another_transformation_are_followed() {
    let options = [("regex", "outbox\\.events\\.(.*)"), ("replacement", "shop.$1")];
    let pipeline = pipeline(with(recommended(), "rename", &format!("{KAFKA}RegexRouter"), &options)).unwrap();
    let row = pipeline.row(&order().build().unwrap()).unwrap();
    assert!(matches!(row.values()[0], ColumnValue::Uuid(_)));
    let record = pipeline.encode(&row).unwrap();
    assert_eq!(record.topic, "shop.order");
    assert_eq!(pipeline.topic(&"order".parse().unwrap()).unwrap(), "shop.order");
}
