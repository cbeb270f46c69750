//! Events without a table: the content of their messages, and the records that the real Debezium made of such content.

use std::path::Path;

use outbox_core::bytes::Bytes;
use outbox_core::connector::RowDisposition;
use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Nullability};
use outbox_core::record::{MessageReader, Record};
use outbox_core::sql::InsertSql;
use outbox_core::time::OffsetDateTime;
use outbox_core::{ConnectorConfig, Identifier, Loss, OutboxEvent, Pipeline, RowLife, TableLayout};
use proptest::prelude::*;
use serde::Deserialize;

use crate::fixtures::{JSON, decoded, order, router};

#[derive(Deserialize)]
struct Golden {
    config: serde_json::Value,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: String,
    record: GoldenRecord,
}

#[derive(Deserialize)]
struct GoldenRecord {
    topic: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl GoldenRecord {
    fn record(&self) -> Record {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut record = Record::new(&self.topic);
        record.key = self.key.as_deref().map(bytes);
        record.value = self.value.as_deref().map(bytes);
        record.headers = self.headers.iter().map(|(name, value)| (name.clone(), value.as_deref().map(bytes))).collect();
        record
    }
}

/// Returns the record that a reader of messages makes of a content.
fn read(config: &ConnectorConfig, content: &str) -> Result<Record, outbox_core::Error> {
    let content = MessageReader::from_config(config)?.unwrap().read(content.as_bytes())?;
    let layout = TableLayout::from_message(config, &content)?;
    let row = content.into_row(&layout)?;
    Pipeline::accepting(&[Loss::JsonExpansion, Loss::NullableColumns], config.clone(), layout)?.encode(&row)
}

#[test]
fn every_content_becomes_the_record_that_debezium_wrote() {
    for (file, count) in [("string-converter.json", 11), ("json-converter.json", 14), ("envelope.json", 13)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/messages").join(file);
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let config = ConnectorConfig::from_json(&golden.config.to_string()).unwrap();
        assert_eq!(golden.messages.len(), count);
        for Message { content, record } in &golden.messages {
            // The StringConverter writes numbers, too, which is refused here.
            match read(&config, content) {
                Ok(made) => assert!(made == record.record(), "{file}, {content}: {:?}", made.value),
                Err(error) => panic!("{file}, {content}: {error:?}"),
            }
        }
    }
}

#[test]
fn content_at_which_debezium_stops_has_no_record() {
    let config = ConnectorConfig::recommended(&TableLayout::messages());
    let whole = |member: &str| format!("{{\"id\":\"1\",\"aggregate_type\":\"order\",\"aggregate_id\":\"1\"{member}}}");
    for content in ["", "[]", "\"text\"", " {}", "{\"id\":", "{}", &whole(""), &whole(",\"payload\":{}")] {
        assert!(read(&config, content).is_err(), "{content}");
    }
}

fn messages() -> Pipeline {
    let layout = TableLayout::messages();
    Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap()
}

fn content(pipeline: &Pipeline, event: &OutboxEvent) -> String {
    let insert = InsertSql::into_table(pipeline.layout());
    let sent = insert.sent(pipeline.row(event).unwrap());
    let [ColumnValue::Text(content)] = sent.values() else { panic!("{sent:?}") };
    content.clone()
}

#[test]
fn the_parts_of_an_event_are_members() {
    let event = order().json("{\"größe\" : 1.0}").header("a", "b").build().unwrap();
    let content = content(&messages(), &event);
    assert!(content.contains(r#""payload":"{\"gr\u00f6\u00dfe\" : 1.0}","created_at":""#), "{content}");
    assert!(content.contains(r#""schema_version":1,"content_type":"application/json","traceparent":"","#), "{content}");
    assert!(content.is_ascii());
    let empty = order().build().unwrap();
    assert!(self::content(&messages(), &empty).contains("\"payload\":null"));
}

#[test]
fn own_columns_are_members_whenever_they_are_added() {
    let own = |name: &str, ty| Column::own(Identifier::new(name).unwrap(), ty, Nullability::NotNull).header(name);
    let with_own = |layout: TableLayout| {
        let at = own("at", ColumnType::Timestamptz).fallback(OffsetDateTime::UNIX_EPOCH);
        layout.with_column(own("tenant", ColumnType::Bigint)).unwrap().with_column(at).unwrap()
    };
    let before = with_own(TableLayout::recommended()).with_row_life(RowLife::Message);
    let layout = with_own(TableLayout::messages());
    assert_eq!(before, layout);

    let config = ConnectorConfig::recommended(&layout);
    let pipeline = Pipeline::new(config.clone(), layout).unwrap();
    let noon = OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(43_200);
    for (event, tenant, at) in [
        (order().column("tenant", i64::MIN), "-9223372036854775808", "1970-01-01T00:00:00.000000Z"),
        (order().column("tenant", "+007").column("at", noon), "7", "1970-01-01T12:00:00.000000Z"),
    ] {
        let record = read(&config, &content(&pipeline, &event.build().unwrap())).unwrap();
        assert_eq!(record.header("tenant").unwrap(), tenant);
        assert_eq!(record.header("at").unwrap(), at);
    }
    let other = order().column("tenant", 7_i64).column("at", true).build().unwrap();
    assert!(pipeline.row(&other).unwrap_err().is_invalid_event());
}

#[test]
fn a_message_of_a_program_from_before_a_column_has_a_record_without_its_header() {
    let tenant = Column::own(Identifier::new("tenant").unwrap(), ColumnType::Text, Nullability::NotNull);
    let layout = TableLayout::messages().with_column(tenant.header("tenant")).unwrap();
    let both = ConnectorConfig::recommended(&TableLayout::recommended()).with_messages(&layout);
    let event = order().json("{}").build().unwrap();
    let old = messages();
    let record = old.encode(&old.row(&event).unwrap()).unwrap();
    for config in [ConnectorConfig::recommended(&layout), both] {
        let read = read(&config, &content(&old, &event)).unwrap();
        assert_eq!(read, record);
        let event = decoded(&Pipeline::new(config, layout.clone()).unwrap(), read);
        assert!(!event.extra.contains_key("tenant"));
    }
}

#[test]
fn a_nested_payload_stays_nested_next_to_another_column() {
    let layout = TableLayout::messages().payload_type(ColumnType::Json).unwrap();
    let region = Column::own(Identifier::new("region").unwrap(), ColumnType::Text, Nullability::Nullable);
    let layout = layout.with_column(region).unwrap().with_row_life(RowLife::Message);
    assert_eq!(layout.column("payload").unwrap().ty(), ColumnType::Json);
}

#[test]
fn a_nested_payload_is_emitted_as_it_is_and_checked_first() {
    let layout = TableLayout::messages().payload_type(ColumnType::Json).unwrap();
    let config = ConnectorConfig::recommended(&layout).with("value.converter", JSON);
    let config = config.with("value.converter.schemas.enable", "false");
    assert!(Pipeline::new(config.clone(), layout.clone()).is_err(), "it is lossy");
    let pipeline = Pipeline::accepting(&[Loss::JsonExpansion], config.clone(), layout).unwrap();
    let event = order().json("{\"größe\" : 1.0, \"n\": null}").build().unwrap();
    let content = content(&pipeline, &event);
    assert!(content.contains("\"payload\":{\"gr\\u00f6\\u00dfe\" : 1.0, \"n\": null}"), "{content}");
    let record = pipeline.encode(&pipeline.row(&event).unwrap()).unwrap();
    assert_eq!(read(&config, &content).unwrap(), record);
    assert_eq!(decoded(&pipeline, record).payload.as_text(), Some("{\"größe\":1.0,\"n\":null}"));

    for payload in ["[1,\"a\"]", "{\"a\":[1,\"a\"]}", "[]", "{\"a\":12345678901234567890}"] {
        let event = order().json(payload).build().unwrap();
        assert!(pipeline.row(&event).unwrap_err().is_invalid_event(), "{payload}");
    }
}

#[test]
fn a_configuration_that_stops_at_messages_is_refused() {
    let layout = TableLayout::messages();
    let config = || ConnectorConfig::recommended(&layout);
    let refused = |config: ConnectorConfig, key: &str| {
        let error = Pipeline::new(config, layout.clone()).unwrap_err();
        let keys: Vec<_> = error.contradictions().filter_map(outbox_core::Error::field).collect();
        assert!(keys.contains(&key), "{key}: {error:?}");
    };
    refused(config().without("message.prefix.include.list"), "message.prefix.include.list");
    refused(config().with("message.prefix.include.list", "other"), "message.prefix.include.list");
    refused(config().with("message.prefix.exclude.list", "outbox.*"), "message.prefix.exclude.list");
    refused(config().with("transforms", "outbox"), "transforms.outbox.predicate");
    refused(config().with("transforms", "outbox,decode"), "transforms.outbox.predicate");
    refused(config().with("binary.handling.mode", "hex"), "binary.handling.mode");
    refused(config().with("transforms.decode.fields.null.include", "false"), "payload");

    let timestamp = router("table.field.event.timestamp");
    refused(config().with(&*timestamp, "created_at"), &timestamp);
}

#[test]
fn one_configuration_reads_a_table_and_messages() {
    let table = TableLayout::recommended();
    let both = ConnectorConfig::recommended(&table).with_messages(&TableLayout::messages());
    assert_eq!(both.disposition("outbox", "outbox_message").unwrap(), RowDisposition::Routed);
    assert_eq!((both.router_of("outbox", "outbox_message"), both.message_router()), (Some("outbox"), Some("messages")));
    let rows = Pipeline::new(both.clone(), table).unwrap();
    let messages = Pipeline::new(both, TableLayout::messages()).unwrap();
    let event = order().json("{}").header("a", "b").build().unwrap();
    let made = [&rows, &messages].map(|pipeline| pipeline.encode(&pipeline.row(&event).unwrap()).unwrap());
    assert_eq!((&made[0].topic, &made[0].key, &made[0].value), (&made[1].topic, &made[1].key, &made[1].value));
    assert_eq!(made[0], Pipeline::recommended().encode(&rows.row(&event).unwrap()).unwrap());

    // A consumer of the table's records reads those of messages, and the other way round.
    for pipeline in [&rows, &messages] {
        for record in &made {
            let mut record = record.clone();
            record.timestamp.get_or_insert(1_767_323_045_678);
            let read = decoded(pipeline, record);
            assert_eq!(read.id, event.id().as_uuid());
            assert_eq!(read.payload.as_text(), Some("{}"));
            assert!(read.created_at.is_some());
        }
    }
}

proptest! {
    #[test]
    fn what_is_enqueued_is_read_as_the_same_record(
        texts in prop::collection::vec("[a-zа-я \"\\\\/😀]{0,20}", 3), version in 1..9_u32, has_payload in any::<bool>()
    ) {
        let pipeline = messages();
        let mut event = order().header("k", &*texts[0]).schema_version(version);
        if has_payload {
            event = event.json(serde_json::json!({ "t": texts[1], "u": [texts[2]] }).to_string());
        }

        let event = event.build().unwrap();
        let row = pipeline.row(&event).unwrap();
        let content = content(&pipeline, &event);
        let wanted = pipeline.encode(&row).unwrap();
        prop_assert_eq!(&read(pipeline.config(), &content).unwrap(), &wanted);
        let read = decoded(&pipeline, wanted);
        let at = event.created_at();
        prop_assert_eq!(read.created_at, Some(at.replace_nanosecond(at.microsecond() * 1_000).unwrap()));
        prop_assert!(pipeline.carries(EventField::CreatedAt));
    }
}
