//! The events that enqueue rejects, before anything is written.

use outbox_core::layout::{ColumnType, ColumnValue, EventField};
use outbox_core::{ConnectorConfig, Error, EventBuilder, Loss, Payload, Pipeline, TableLayout};
use time::{Duration, OffsetDateTime};

use crate::fixtures::{foreign, identifier, layout, not_null, nullable, order, recommended, router};

fn pipeline(layout: TableLayout) -> Pipeline {
    Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap()
}

fn with_payload(ty: ColumnType) -> Pipeline {
    pipeline(layout(ty, vec![]))
}

/// Checks that the error names what broke a rule, the value, and the rule.
#[track_caller]
fn refused(pipeline: &Pipeline, event: EventBuilder, field: &str, value: &str, rule: &str) -> Error {
    let error = pipeline.row(&event.build().unwrap()).expect_err(rule);
    assert!(error.is_invalid_event(), "{error}");
    assert_eq!((error.field(), error.value()), (Some(field), Some(value)), "{error}");
    assert!(error.broken_rule().unwrap().contains(rule), "{error}");
    for part in [field, value, rule] {
        assert!(error.to_string().contains(part), "{error}");
    }
    error
}

#[track_caller]
fn taken(pipeline: &Pipeline, event: EventBuilder) {
    let row = pipeline.row(&event.build().unwrap()).unwrap();
    assert_eq!(row.values().len(), pipeline.layout().columns().len());
}

#[test]
fn the_whole_name_of_the_topic_has_a_limit() {
    let pipeline = Pipeline::recommended();
    let longest = 249 - "outbox.events.".len();
    let event = |len: usize| outbox_core::OutboxEvent::builder("x".repeat(len), "1", "y");
    taken(&pipeline, event(longest));
    let error = pipeline.row(&event(longest + 1).build().unwrap()).unwrap_err();
    assert!(error.is_invalid_event());
    assert_eq!(error.field(), Some("topic"));
    assert!(error.value().unwrap().starts_with("outbox.events.xxx") && error.value().unwrap().ends_with('…'));
    assert!(error.broken_rule().unwrap().contains("249"), "{error}");

    let bare = Pipeline::new(
        recommended().with(router("route.topic.replacement"), "${routedByValue}"),
        TableLayout::recommended(),
    )
    .unwrap();
    let dots = outbox_core::OutboxEvent::builder("..", "1", "y");
    refused(&bare, dots, "topic", "..", "Kafka has no topic of this name");

    for internal in ["__consumer_offsets", "__transaction_state", "__cluster_metadata", "__share_group_state"] {
        let event = outbox_core::OutboxEvent::builder(internal, "1", "y");
        refused(&bare, event, "topic", internal, "keeps its own records");
    }
}

#[test]
fn a_name_of_a_topic_is_told_only_where_the_aggregate_type_routes() {
    let by_type = Pipeline::new(recommended().with(router("route.by.field"), "event_type"), TableLayout::recommended());
    let error = by_type.as_ref().unwrap().topic(&"order".parse().unwrap()).unwrap_err();
    assert_eq!(error.field(), Some(router("route.by.field").as_str()));
    // The event type is free text, and here it has to be legal in a topic.
    refused(
        &by_type.unwrap(),
        outbox_core::OutboxEvent::builder("a", "1", "Order Created"),
        "topic",
        "outbox.events.Order Created",
        "legal in the name of a Kafka topic",
    );
}

#[test]
fn jsonb_refuses_what_json_takes() {
    let (json, jsonb) = (with_payload(ColumnType::Json), with_payload(ColumnType::Jsonb));
    for (text, rule) in [
        (r#"{"a":"\u0000"}"#, "at byte 5: jsonb has no \\u0000"),
        (r#"{"a":1e-20000}"#, "at byte 5: jsonb stores numbers as numeric, and this one is out of its range"),
        (r#"{"a":0e-16000}"#, "at byte 5: jsonb prints this number with more than 1000 characters"),
    ] {
        taken(&json, order().json(text));
        refused(&jsonb, order().json(text), "payload", &format!("({} bytes)", text.len()), rule);
    }
    taken(&jsonb, order().json(r#"{"a":["\\u0000","\ud83d\ude00",1e300]}"#));
}

#[test]
fn json_and_bytes_need_their_own_columns() {
    let bytes = || order().payload(Payload::bytes(&b"\x00\xff"[..]));
    for ty in [ColumnType::Json, ColumnType::Jsonb, ColumnType::Text, ColumnType::Varchar(10)] {
        taken(&with_payload(ty), order().json("{}"));
        refused(&with_payload(ty), bytes(), "payload", "(2 bytes)", "need a bytea column");
    }
    taken(&with_payload(ColumnType::Bytea), bytes());
    refused(&with_payload(ColumnType::Bytea), order().json("{}"), "payload", "(2 bytes)", "give it as bytes");
}

#[test]
fn an_empty_payload_needs_a_nullable_column() {
    let columns = TableLayout::classic(identifier("public"), identifier("outbox")).columns().to_vec();
    let strict = columns.into_iter().map(|column| match column.field() {
        Some(EventField::Payload) => not_null(EventField::Payload, "payload", ColumnType::Jsonb),
        _ => column,
    });
    let strict = TableLayout::new(identifier("public"), identifier("outbox"), strict.collect()).unwrap();
    refused(&pipeline(strict.clone()), order(), "payload", "(0 bytes)", "its column is NOT NULL");
    taken(&pipeline(strict.clone()), order().json("null"));
    let row = Pipeline::recommended().row(&order().build().unwrap()).unwrap();
    assert_eq!(row.values()[4], ColumnValue::Null);
}

#[test]
fn varchar_counts_characters() {
    let mut columns = TableLayout::recommended().columns().to_vec();
    for column in &mut columns {
        if let Some(field @ (EventField::AggregateId | EventField::EventType | EventField::AggregateType)) =
            column.field()
        {
            *column = not_null(field, column.name().as_str(), ColumnType::Varchar(5));
        }
    }

    let layout = TableLayout::new(identifier("outbox"), identifier("outbox_message"), columns).unwrap();
    let short = pipeline(layout);
    let event = |id: &str| outbox_core::OutboxEvent::builder("order", id, "x");
    taken(&short, event("ключ😀"));
    refused(&short, event("ключи😀"), "aggregate_id", "ключи😀", "varchar(5)");
    refused(&short, outbox_core::OutboxEvent::builder("orders", "1", "x"), "aggregate_type", "orders", "varchar(5)");
    refused(&short, outbox_core::OutboxEvent::builder("order", "1", "Created"), "event_type", "Created", "varchar(5)");
}

#[test]
fn payloads_and_headers_stay_out_of_messages() {
    let headers = not_null(EventField::Headers, "headers", ColumnType::Varchar(20));
    let pipeline = pipeline(layout(ColumnType::Varchar(8), vec![headers]));
    let secret = order().json("\"hunter2 hunter2\"");
    let error = refused(&pipeline, secret, "payload", "(17 bytes)", "varchar(8)");
    assert!(!format!("{error:?}").contains("hunter2"));
    let secret = order().json("{}").header("password", "hunter2");
    let error = refused(&pipeline, secret, "headers", "(22 bytes)", "varchar(20)");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_uuid_column_takes_one_spelling() {
    let columns = TableLayout::recommended().columns().to_vec().into_iter().map(|column| match column.field() {
        Some(EventField::AggregateId) => not_null(EventField::AggregateId, "aggregate_id", ColumnType::Uuid),
        _ => column,
    });
    let layout = TableLayout::new(identifier("outbox"), identifier("outbox_message"), columns.collect()).unwrap();
    let pipeline = pipeline(layout);
    let event = |id: &str| outbox_core::OutboxEvent::builder("order", id, "x");
    taken(&pipeline, event("67e55044-10b1-426f-9247-bb680e5fe0c8"));
    refused(&pipeline, event("42"), "aggregate_id", "42", "of type uuid");
    for spelling in ["67E55044-10B1-426F-9247-BB680E5FE0C8", "67e5504410b1426f9247bb680e5fe0c8"] {
        refused(&pipeline, event(spelling), "aggregate_id", spelling, "lower case, with hyphens");
    }
}

#[test]
fn a_part_without_a_column_is_refused_where_it_is_set() {
    let classic = pipeline(TableLayout::classic(identifier("public"), identifier("outboxevent")));
    taken(&classic, order().json("{}").schema_version(1));
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    for (event, field) in [
        (order().schema_version(2), "schema_version"),
        (order().content_type("text/plain"), "content_type"),
        (order().header("tenant", "acme"), "headers"),
        (order().traceparent(traceparent), "traceparent"),
        (order().correlation_id("c"), "correlation_id"),
        (order().causation_id("c"), "causation_id"),
    ] {
        refused(&classic, event, field, "(set)", "no column for it");
    }
}

#[test]
fn a_part_that_no_record_carries_is_refused_where_it_is_set() {
    let placement = router("table.fields.additional.placement");
    let shortest = recommended().without(&placement);
    let strict = Pipeline::new(shortest.clone(), TableLayout::recommended()).unwrap();
    refused(&strict, order().json("{}"), "event_type", "(set)", "into no record");
    let accepting = Pipeline::accepting(&[Loss::UncarriedParts], shortest.clone(), TableLayout::recommended()).unwrap();
    taken(&accepting, order().json("{}").header("tenant", "acme"));

    let typed = Pipeline::new(shortest.with(placement, "event_type:header"), TableLayout::recommended()).unwrap();
    taken(&typed, order().json("{}"));
    for (event, field) in [
        (order().schema_version(2), "schema_version"),
        (order().content_type("text/plain"), "content_type"),
        (order().header("tenant", "acme"), "headers"),
        (order().correlation_id("c"), "correlation_id"),
    ] {
        refused(&typed, event, field, "(set)", "table.fields.additional.placement");
    }
    let other_key = recommended().with(router("table.field.event.key"), "event_type");
    let other_key = Pipeline::new(other_key, TableLayout::recommended()).unwrap();
    refused(&other_key, order().json("{}"), "aggregate_id", "(set)", "into no record");
}

#[test]
fn what_is_not_set_is_empty_text_or_null() {
    let more = vec![
        not_null(EventField::Traceparent, "trace", ColumnType::Text),
        nullable(EventField::CorrelationId, "correlation", ColumnType::Text),
        not_null(EventField::Headers, "headers", ColumnType::Jsonb),
        not_null(EventField::ContentType, "content_type", ColumnType::Text),
        foreign("tenant", ColumnType::Text),
    ];
    let layout = layout(ColumnType::Json, more);
    let config =
        ConnectorConfig::recommended(&layout).with(router("table.fields.additional.placement"), "trace:header");
    let pipeline = Pipeline::accepting(&[Loss::UncarriedParts], config, layout).unwrap();
    let text = |text: &str| ColumnValue::Text(text.into());
    let row = pipeline.row(&order().build().unwrap()).unwrap();
    assert_eq!(row.values()[5..], [text(""), ColumnValue::Null, text("{}"), text(""), ColumnValue::Null]);

    let row = pipeline.row(&order().json("1").build().unwrap()).unwrap();
    assert_eq!(row.values()[8], text("application/json"));
}

#[test]
fn an_event_from_the_future_is_refused_where_it_would_be_the_records_timestamp() {
    let ahead = |minutes| order().created_at(OffsetDateTime::now_utc() + Duration::minutes(minutes));
    taken(&Pipeline::recommended(), ahead(25));
    let late = ahead(35).build().unwrap();
    let error = Pipeline::recommended().row(&late).unwrap_err();
    assert_eq!((error.field(), error.is_invalid_event()), (Some("created_at"), true), "{error}");
    let layout = TableLayout::recommended();
    let config = ConnectorConfig::recommended(&layout).without(&router("table.field.event.timestamp"));
    Pipeline::new(config, layout).unwrap().row(&late).unwrap();
}
