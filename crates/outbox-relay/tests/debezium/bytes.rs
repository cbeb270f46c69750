//! Payloads of bytes.

use outbox_core::layout::ColumnType;

use crate::configuration::{BYTE_ARRAY, With as _, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

fn rows() -> Vec<String> {
    let payloads =
        [r"'\x0001ff'", r"'\x7b7d'", r"''", "NULL", r"'\x20'", "decode(repeat('00ff', 100000), 'hex')", r"'\x01'"];
    payloads.iter().enumerate().map(|(index, payload)| event(index, payload)).collect()
}

fn fixture() -> DebeziumEnv {
    DebeziumEnv::new(layout("of_bytea", ColumnType::Bytea, vec![]), &format!("{COLUMNS}, payload bytea"))
}

#[test]
fn bytea_payloads() {
    let mut fixture = fixture();
    let plain = |config: outbox_core::ConnectorConfig| {
        config.without("heartbeat.interval.ms").without("heartbeat.action.query").without("message.prefix.exclude.list")
    };
    fixture.reader("byte_array", |config| plain(config).with("value.converter", BYTE_ARRAY));
    fixture.reader("tombstone", |config| {
        plain(config).with("value.converter", BYTE_ARRAY).option("route.tombstone.on.empty.payload", "true")
    });
    fixture.reader("json", |config| config.json_values("false"));
    fixture.reader("schemas", |config| config.json_values("true").option("route.tombstone.on.empty.payload", "true"));
    fixture.compare(&rows());
}

/// The recommended configuration has heartbeats, which are no bytes: a delegate writes them.
#[test]
fn bytea_payloads_between_heartbeats() {
    let mut fixture = fixture();
    fixture.reader("recommended", |config| config.with("heartbeat.interval.ms", "100"));
    fixture.pause_between_rows(std::time::Duration::from_millis(400));
    assert!(fixture.heartbeats_after_comparing(&rows()) > 3);
}
