//! Records as the Kafka protocol binding of CloudEvents 1.0 has them, in its binary mode.

use outbox_core::record::Record;
use outbox_core::time::macros::datetime;
use outbox_core::{ConnectorConfig, EventId, Pipeline, TableLayout};

use crate::fixtures::{decoded, order};

fn pipeline() -> Pipeline {
    let layout = TableLayout::cloud_events("/shop/orders").unwrap();
    Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap()
}

fn header<'a>(record: &'a Record, name: &str) -> &'a str {
    std::str::from_utf8(record.header(name).unwrap()).unwrap()
}

#[test]
fn the_attributes_of_an_event_are_headers_and_are_decoded() {
    let (pipeline, id, at) = (pipeline(), EventId::new(), datetime!(2026-01-02 03:04:05.678901 UTC));
    let event = order().id(id).created_at(at).schema_version(3).json(r#"{"quantity":2}"#);
    let event = event.correlation_id("c-1").header("tenant", "acme").build().unwrap();
    let record = pipeline.encode(&pipeline.row(&event).unwrap()).unwrap();
    let id = id.to_string();

    for (name, value) in [
        ("ce_id", id.as_str()),
        ("ce_source", "/shop/orders"),
        ("ce_specversion", "1.0"),
        ("ce_type", "OrderCreated"),
        ("ce_subject", "42"),
        ("ce_time", "2026-01-02T03:04:05.678901Z"),
        ("ce_aggregatetype", "order"),
        ("ce_schemaversion", "3"),
        ("content-type", "application/json"),
        ("correlation_id", "c-1"),
        ("traceparent", ""),
    ] {
        assert_eq!(header(&record, name), value, "{name}");
    }
    assert_eq!(record.value.as_deref(), Some(br#"{"quantity":2}"#.as_slice()), "the data is the value as it is");

    let found = decoded(&pipeline, record);
    assert_eq!(found.id.to_string(), id);
    assert_eq!(found.event_type.as_deref(), Some("OrderCreated"));
    assert_eq!((found.aggregate_type.as_deref(), found.aggregate_id.as_deref()), (Some("order"), Some("42")));
    assert_eq!((found.created_at, found.schema_version), (Some(at), Some(3)), "to the microsecond");
    assert_eq!(found.content_type.as_deref(), Some("application/json"));
    assert_eq!((found.correlation_id.as_deref(), found.headers.get("tenant")), (Some("c-1"), Some("acme")));
    assert_eq!(found.extra.get("ce_source").map(String::as_str), Some("/shop/orders"));
}

/// "The attribute's value MUST be a non-empty string", and the names are of lower-case letters and digits.
#[test]
fn no_attribute_is_ever_empty_and_every_name_is_legal() {
    let pipeline = pipeline();
    let record = pipeline.encode(&pipeline.row(&order().json("null").build().unwrap()).unwrap()).unwrap();
    let attributes = || record.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
    for (name, value) in attributes() {
        assert!(value.as_ref().is_some_and(|value| !value.is_empty()), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && name.len() <= 20, "{name}");
    }
    for required in ["id", "source", "specversion", "type"] {
        assert_eq!(attributes().filter(|(name, _)| *name == required).count(), 1, "{required}");
    }

    assert_eq!(
        pipeline.row(&order().build().unwrap()).unwrap_err().field(),
        Some("payload"),
        "its content-type is empty"
    );
}

#[test]
fn a_source_is_a_uri_reference() {
    for source in ["/shop/orders", "https://shop.example/orders?x=%20", "urn:shop:orders"] {
        assert!(TableLayout::cloud_events(source).is_ok(), "{source}");
    }
    for source in ["", "a b", "заказы", "a\0", "<x>", &"x".repeat(256)] {
        assert_eq!(TableLayout::cloud_events(source).unwrap_err().field(), Some("source"), "{source}");
    }
}

#[test]
fn a_column_s_header_has_the_name_that_the_layout_gives_it() {
    let layout = TableLayout::cloud_events("/shop").unwrap();
    let placement = "transforms.outbox.table.fields.additional.placement";
    let config = ConnectorConfig::recommended(&layout);
    assert_eq!(
        config.get(placement),
        Some(
            "id:header:ce_id,source:header:ce_source,spec_version:header:ce_specversion,event_type:header:ce_type,\
             aggregate_type:header:ce_aggregatetype,aggregate_id:header:ce_subject,created_at:header:ce_time,\
             schema_version:header:ce_schemaversion,content_type:header:content-type,traceparent:header,\
             correlation_id:header,causation_id:header,headers:header,tracestate:header"
        )
    );
}
