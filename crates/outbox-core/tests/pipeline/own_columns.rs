//! Columns that a service adds to the outbox table: its own, a record key, real headers, the trace's state.

use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Nullability};
use outbox_core::record::Record;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, EventBuilder, Identifier, Pipeline, TableLayout};

use crate::fixtures::{decoded, order};

const PLACEMENT: &str = "transforms.outbox.table.fields.additional.placement";

fn name(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

fn own(column: &str, ty: ColumnType) -> Column {
    Column::own(name(column), ty, Nullability::NotNull)
}

fn pipeline(columns: impl IntoIterator<Item = Column>) -> Pipeline {
    let layout =
        columns.into_iter().fold(TableLayout::recommended(), |layout, column| layout.with_column(column).unwrap());
    Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap()
}

fn record(pipeline: &Pipeline, event: EventBuilder) -> Record {
    pipeline.encode(&pipeline.row(&event.build().unwrap()).unwrap()).unwrap()
}

fn refusal(pipeline: &Pipeline, event: EventBuilder) -> String {
    let error = pipeline.row(&event.build().unwrap()).unwrap_err();
    assert!(error.is_invalid_event(), "{error}");
    error.to_string()
}

#[test]
fn own_columns_are_filled_by_the_event_and_placed_as_headers() {
    let pipeline = pipeline([
        own("tenant", ColumnType::Bigint).header("tenant"),
        own("region", ColumnType::Varchar(4)).fallback("eu").header("x-region"),
        Column::own(name("note"), ColumnType::Text, Nullability::Nullable),
        own("flag", ColumnType::Boolean).fallback(false),
        own("at", ColumnType::Timestamptz).fallback(OffsetDateTime::UNIX_EPOCH),
        own("owner", ColumnType::Uuid).fallback(Uuid::nil()),
    ]);
    let sent = record(&pipeline, order().column("tenant", i64::MAX));
    assert_eq!(sent.header("tenant").unwrap(), i64::MAX.to_string().as_bytes());
    assert_eq!(sent.header("x-region").unwrap(), "eu");
    assert!(
        sent.header("note").is_none() && sent.header("flag").is_none(),
        "only those with a header are in the record"
    );
    assert_eq!(decoded(&pipeline, sent).extra.get("x-region").unwrap(), "eu");
    let sent = record(&pipeline, order().column("tenant", 1_i64).column("region", "us").column("note", "n"));
    assert_eq!(sent.header("x-region").unwrap(), "us");

    for (event, part) in [
        (order(), "tenant = \"(own column)\" is refused: its column is NOT NULL"),
        (order().column("tenant", "seven"), "its column is of type bigint"),
        (order().column("tenant", 7), "its column is of type bigint"),
        (order().column("tenant", 7_i64).column("region", "mars!"), "its column is of type varchar(4)"),
        (order().column("tenant", 7_i64).column("note", "a\0b"), "no NUL"),
        (order().column("tenant", 7_i64).column("other", "x"), "no own column of this name"),
        (order().column("tenant", 7_i64).column("event_type", "x"), "no own column of this name"),
    ] {
        let refusal = refusal(&pipeline, event);
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn values_stay_out_of_errors_and_debug() {
    let pipeline = pipeline([own("card", ColumnType::Varchar(4))]);
    let event = order().column("card", "hunter2").build().unwrap();
    let error = pipeline.row(&event).unwrap_err();
    assert!(!format!("{error:?} {error} {event:?}").contains("hunter2"), "{error:?} {event:?}");
}

#[test]
fn a_partition_is_chosen_by_the_event() {
    let layout = TableLayout::recommended().with_column(own("shard", ColumnType::Integer)).unwrap();
    let config = ConnectorConfig::recommended(&layout);
    let placement = format!("{},shard:partition", config.get(PLACEMENT).unwrap());
    let pipeline = Pipeline::new(config.with(PLACEMENT, placement), layout).unwrap();
    assert_eq!(record(&pipeline, order().column("shard", 3)).partition, Some(3));
}

#[test]
fn a_record_key_is_another_than_the_aggregate_id() {
    let key = Column::new(EventField::Key, name("record_key"), ColumnType::Text, Nullability::NotNull);
    let pipeline = pipeline([key]);
    let sent = record(&pipeline, order().key("tenant 7"));
    assert_eq!(sent.key.as_deref(), Some(&b"tenant 7"[..]));
    let event = decoded(&pipeline, sent);
    assert_eq!(event.key.as_deref(), Some("tenant 7"));
    let plain = order().build().unwrap();
    assert_eq!(event.aggregate_id.as_deref(), Some(plain.aggregate_id().as_str()), "it is in a header then");

    let sent = record(&pipeline, order());
    assert_eq!(sent.key.as_deref(), Some(plain.aggregate_id().as_str().as_bytes()));
    let refused = refusal(&Pipeline::recommended(), order().key("tenant 7"));
    assert!(refused.contains("key") && refused.contains("no column for it"), "{refused}");
}

#[test]
fn chosen_headers_are_headers_of_the_record_and_come_back_as_the_events_own() {
    let pipeline =
        pipeline([Column::from_header(name("tenant"), "x-tenant"), Column::from_header(name("lang"), "lang")]);
    let event = order().header("x-tenant", "Größe").header("other", "o").header("lang", "");
    let sent = record(&pipeline, event.header("more", ""));
    assert_eq!(sent.header("x-tenant").unwrap(), "Größe".as_bytes());
    assert_eq!(sent.header("lang").unwrap(), "");
    assert_eq!(sent.header("headers").unwrap(), r#"{"lang":"","more":"","other":"o"}"#);
    let headers = decoded(&pipeline, sent).headers;
    let headers: Vec<_> = headers.iter().collect();
    assert_eq!(headers, [("lang", ""), ("more", ""), ("other", "o"), ("x-tenant", "Größe")]);
    assert!(decoded(&pipeline, record(&pipeline, order())).headers.is_empty());

    // Without a column for the rest, a header that has no column would be lost.
    let table = TableLayout::classic(name("public"), name("outboxevent"));
    let layout = table.with_column(Column::from_header(name("tenant"), "tenant")).unwrap();
    let config = ConnectorConfig::recommended(&layout);
    let classic = Pipeline::new(config.clone(), layout.clone()).unwrap();
    assert_eq!(record(&classic, order().header("tenant", "a")).header("tenant").unwrap(), "a");
    assert!(refusal(&classic, order().header("tenant", "a").header("b", "c")).contains("headers"));
    let unplaced = Pipeline::new(config.with(PLACEMENT, "type:header"), layout).unwrap();
    assert!(refusal(&unplaced, order().header("tenant", "a")).contains("puts its column into no record"));
}

#[test]
fn a_column_that_cannot_be_filled_is_refused() {
    for (column, part) in [
        (Column::from_header(name("a"), "a:b"), "without comma and colon"),
        (Column::from_header(name("a"), "id"), "not \"id\""),
        (Column::from_header(name("a"), ""), "placed by a name"),
        (own("a", ColumnType::Double), "does not write columns of type double precision"),
        (own("a", ColumnType::Integer).fallback("x"), "integer cannot hold its fallback"),
        (own("event_type", ColumnType::Text), "there twice"),
        (Column::new(EventField::Key, name("a"), ColumnType::Bigint, Nullability::NotNull), "cannot be held by bigint"),
    ] {
        let error = TableLayout::recommended().with_column(column).unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains(part), "{error}");
    }
    let twice = TableLayout::recommended().with_column(Column::from_header(name("a"), "x")).unwrap();
    assert!(twice.with_column(Column::from_header(name("b"), "x")).is_err());
}

#[test]
fn the_state_of_a_trace_arrives_and_may_be_dropped() {
    let state = "vendor=a1,other=b";
    let event = || order().tracestate(state);
    let sent = record(&Pipeline::recommended(), event());
    assert_eq!(sent.header("tracestate").unwrap(), state);
    assert_eq!(decoded(&Pipeline::recommended(), sent).tracestate.unwrap().as_str(), state);

    let layout = TableLayout::classic(name("public"), name("outboxevent"));
    let classic = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
    assert!(classic.row(&event().build().unwrap()).is_ok());
}

/// PostgreSQL's binary form of a number is not its text.
#[test]
fn numbers_that_are_kept_as_text_are_sent_as_numbers() {
    let mut out = Vec::new();
    ColumnValue::from(-2_i64).write_binary(ColumnType::Bigint, &mut out).unwrap();
    ColumnValue::from("7").write_binary(ColumnType::Smallint, &mut out).unwrap();
    assert_eq!(out, [(-2_i64).to_be_bytes().as_slice(), &7_i16.to_be_bytes()].concat());
    assert!(ColumnValue::from("x").write_binary(ColumnType::Bigint, &mut out).is_err());
}
