//! Every event that enqueue accepts is written by Debezium and by the relay with the producer's default limit, and a
//! typed consumer reads it. The largest events of each form are among them.

use outbox_core::layout::ColumnType;
use outbox_core::record::Decoded;
use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};
use serde_json::Value;

use crate::configuration::With;
use crate::documents::documents;
use crate::service::Service;

/// More than the producer's limit.
const TOO_MANY: usize = 1_100_000;

fn of_json(text: String) -> Option<OutboxEvent> {
    OutboxEvent::builder("order", "1", "Line").json(text).build().ok()
}

/// Returns the largest event of a form that the pipeline accepts.
fn largest(pipeline: &Pipeline, form: impl Fn(usize) -> Option<OutboxEvent>) -> OutboxEvent {
    let (mut accepted, mut refused) = (None, TOO_MANY);
    let mut from = 0;
    while from + 1 < refused {
        let size = from.midpoint(refused);
        match form(size).filter(|event| pipeline.row(event).is_ok()) {
            Some(event) => (accepted, from) = (Some(event), size),
            None => refused = size,
        }
    }
    accepted.expect("the smallest one is accepted")
}

/// Returns events whose records grow on the way, each as large as it may be.
fn at_the_limit(pipeline: &Pipeline) -> Vec<OutboxEvent> {
    let repeated = |element: &'static str| move |count: usize| of_json(format!("[{}]", vec![element; count].join(",")));
    let quoted = |text: &'static str| move |count: usize| of_json(format!("\"{}\"", text.repeat(count)));
    let headers = |length: usize| {
        let event = OutboxEvent::builder("order", "1", "Line").json("{}");
        let value = "\u{1}".repeat(length / 64);
        (0..64).fold(event, |event, n| event.header(format!("h{n}"), &*value)).build().ok()
    };

    let nested = |depth: usize| of_json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    vec![
        largest(pipeline, quoted("x")),
        largest(pipeline, quoted("\\u0001")),
        largest(pipeline, quoted("\u{1f600}")),
        largest(pipeline, repeated("1")),
        largest(pipeline, repeated("1e300")),
        largest(pipeline, repeated("-1.5e-300")),
        largest(pipeline, repeated("{\"k\":\"\"}")),
        largest(pipeline, headers),
        largest(pipeline, nested),
    ]
}

fn accepted_events_are_records(payload: ColumnType, change: impl FnOnce(ConnectorConfig) -> ConnectorConfig) {
    let layout = TableLayout::recommended().payload_type(payload).unwrap();
    let mut service = Service::start_with(layout, change);
    service.store(&at_the_limit(&service.pipeline));
    let random = documents(80).into_iter().filter_map(of_json);
    let accepted: Vec<_> = random.filter(|event| service.pipeline.row(event).is_ok()).collect();
    assert!(accepted.len() > 50, "{}", accepted.len());
    service.store(&accepted);

    let rows = service.compare_rows();
    assert_eq!(rows.len(), service.stored.len());
    for row in rows {
        let record = service.pipeline.encode(&row).unwrap();
        let Ok(Decoded::Event(event)) = service.pipeline.decode(record) else { panic!("an event") };
        event.payload.json::<Value>().unwrap();
    }
}

#[test]
fn text_that_is_written_as_it_is() {
    accepted_events_are_records(ColumnType::Json, |config| config);
}

#[test]
fn jsonb_that_the_json_converter_writes_with_schemas() {
    accepted_events_are_records(ColumnType::Jsonb, |config| config.json_values("true").json_keys("true"));
}
