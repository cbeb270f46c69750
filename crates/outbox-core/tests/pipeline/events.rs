//! A consumer reads what a producer has written, by the recommended pipeline.

use outbox_core::event::JsonText;
use outbox_core::layout::ColumnType;
use outbox_core::record::DecodedPayload;
use outbox_core::time::{Duration, OffsetDateTime};
use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, EventId, OutboxEvent, Payload, Pipeline, TableLayout};
use proptest::prelude::*;

use crate::fixtures::decoded;
use crate::texts;

fn id() -> impl Strategy<Value = EventId> {
    any::<u128>().prop_map(|bits| {
        let version = 0xf000_u128 << 64;
        let variant = 0xc000_u128 << 48;
        let bits = (bits & !version & !variant) | (0x7000 << 64) | (0x8000 << 48);
        EventId::try_from(Uuid::from_u128(bits)).unwrap()
    })
}

fn header() -> impl Strategy<Value = (String, String)> {
    (texts::name(), texts::text())
}

fn event(payload: impl Strategy<Value = Payload>) -> impl Strategy<Value = OutboxEvent> {
    let optional = || prop::option::of(texts::name());
    let parts = (texts::topic_part(), texts::name(), texts::name(), id(), payload, 1..=i32::MAX.unsigned_abs());
    let more = (optional(), optional(), optional(), prop::option::of(texts::traceparent()));
    let headers = prop::collection::vec(header(), 0..6);

    (parts, more, headers, texts::past()).prop_map(|(parts, more, headers, at)| {
        let (aggregate_type, aggregate_id, event_type, id, payload, version) = parts;
        let mut builder = OutboxEvent::builder(aggregate_type, aggregate_id, event_type)
            .id(id)
            .payload(payload)
            .schema_version(version)
            .created_at(at);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }

        let (content_type, correlation_id, causation_id, traceparent) = more;
        if let Some(content_type) = content_type {
            builder = builder.content_type(content_type);
        }

        if let Some(id) = correlation_id {
            builder = builder.correlation_id(id);
        }
        if let Some(id) = causation_id {
            builder = builder.causation_id(id);
        }
        if let Some(traceparent) = traceparent {
            builder = builder.traceparent(traceparent);
        }
        builder.build().unwrap()
    })
}

fn json() -> impl Strategy<Value = Payload> {
    prop_oneof![1 => Just(Payload::Empty), 9 => texts::readable_json().prop_map(|json| Payload::json(json).unwrap())]
}

fn bytes() -> impl Strategy<Value = Payload> {
    let bytes = prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![1 => Just(Payload::Empty), 9 => bytes.prop_map(Payload::bytes)]
}

fn in_millis(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::microseconds(i64::from(at.microsecond() % 1_000))
}

fn survives(pipeline: &Pipeline, event: &OutboxEvent) -> Result<(), TestCaseError> {
    let read = decoded(pipeline, pipeline.encode(&pipeline.row(event).unwrap()).unwrap());
    prop_assert_eq!(read.id, event.id().as_uuid());
    prop_assert_eq!(read.aggregate_type.as_deref(), Some(event.aggregate_type().as_str()));
    prop_assert_eq!(read.aggregate_id.as_deref(), Some(event.aggregate_id().as_str()));
    prop_assert_eq!(read.event_type.as_deref(), Some(event.event_type().as_str()));
    prop_assert_eq!(read.schema_version, Some(event.schema_version()));
    prop_assert_eq!(read.correlation_id.as_deref(), event.correlation_id().map(|id| id.as_str()));
    prop_assert_eq!(read.causation_id.as_deref(), event.causation_id().map(|id| id.as_str()));
    prop_assert_eq!(&read.traceparent, &event.traceparent().cloned());
    prop_assert_eq!(&read.headers, event.headers());
    prop_assert_eq!(read.created_at, Some(in_millis(event.created_at())));
    prop_assert!(read.extra.is_empty());

    let (payload, media_type) = match event.payload() {
        Payload::Json(text) => (DecodedPayload::Text(text.as_str().into()), Some("application/json")),
        Payload::Bytes(bytes) => (DecodedPayload::Bytes(bytes.clone()), Some("application/octet-stream")),
        _ => (DecodedPayload::Empty, None),
    };

    prop_assert!(read.payload == payload);
    prop_assert_eq!(read.content_type.as_deref(), event.content_type().map(|given| given.as_str()).or(media_type));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_part_of_an_event_reaches_the_consumer(event in event(json())) {
        survives(&Pipeline::recommended(), &event)?;
    }

    #[test]
    fn every_part_of_an_event_with_bytes_reaches_the_consumer(event in event(bytes())) {
        let layout = TableLayout::recommended().payload_type(ColumnType::Bytea).unwrap();
        survives(&Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap(), &event)?;
    }

    #[test]
    fn json_text_is_taken_exactly_where_a_parser_takes_it(text in prop_oneof![any::<String>(), texts::json()]) {
        let is_read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(JsonText::new(text).is_ok(), is_read);
    }
}
