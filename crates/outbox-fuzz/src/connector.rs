//! A connector's JSON: it is read as it was written, secrets stay hidden, and a pipeline of it encodes an event.

use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};

pub(crate) const WORDS: &[&[u8]] = &[
    b"\"transforms\":\"outbox\"",
    b"\"transforms.outbox.",
    b"\"value.converter\":\"",
    b"\"predicates\":\"",
    b"table.fields.additional.placement\":\"",
    b":header:",
    b":envelope",
    b"route.topic.replacement\":\"",
    b"${routedByValue}",
    b"$1",
    b"(?<routedByValue>.*)",
    b"\\u0000",
    b"true",
    b"null",
];

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(config) = ConnectorConfig::from_json(text) else { return };
    let again = ConnectorConfig::from_json(&config.to_json());
    assert!(again.is_ok_and(|again| again == config), "{config:?} is read otherwise when it was written");
    let shown = |password: &str| format!("{:?}", config.clone().with("database.password", password));
    assert_eq!(shown("one password"), shown("another one"), "a password is shown");

    let Ok(pipeline) = Pipeline::new(config, TableLayout::recommended()) else { return };
    let Ok(event) = OutboxEvent::builder("order", "1", "OrderCreated").json("{\"id\":1}").build() else { return };
    let Ok(row) = pipeline.row(&event) else { return };
    match pipeline.encode(&row) {
        Ok(record) => drop(pipeline.decode(record)),
        Err(error) => assert!(error.is_unencodable(), "{error}"),
    }
}
