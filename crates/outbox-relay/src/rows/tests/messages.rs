use std::collections::HashSet;

use outbox_core::{ConnectorConfig, TableLayout};
use outbox_wal::{Lsn, Message};

use super::{OUTBOX, begin, columns, commit, insert, reader_by, recommended_row, relation};
use crate::rows::{DecodeError, RowReader, WalEvent};

const PREFIX: &str = "outbox.outbox_message";
const CONTENT: &str = r#"{"id":"0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d","aggregate_type":"order","aggregate_id":"1",
    "event_type":"Made","payload":null,"created_at":"2026-01-02T03:04:05.678901Z","schema_version":1,"content_type":"",
    "traceparent":"","correlation_id":"","causation_id":"","headers":"{}"}"#;

fn reader() -> RowReader {
    let table = TableLayout::recommended();
    let config = ConnectorConfig::recommended(&table).with_messages(&TableLayout::messages());
    reader_by(config, &table, HashSet::from([OUTBOX]))
}

fn message(transactional: bool, lsn: u64, prefix: &str, content: &str) -> Vec<u8> {
    Message::Logical { transactional, lsn: Lsn::new(lsn), prefix, content: content.as_bytes() }.encode()
}

fn index(event: Option<WalEvent>) -> u32 {
    match event {
        Some(WalEvent::Row { index, .. }) => index,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_and_messages_of_a_transaction_are_numbered_together_and_other_messages_are_not_counted() {
    let (mut reader, layout) = (reader(), TableLayout::recommended());
    reader.read(&begin(100)).unwrap();
    assert_eq!(index(reader.read(&message(true, 10, PREFIX, CONTENT)).unwrap()), 0);
    assert!(reader.read(&message(true, 11, "other", "")).unwrap().is_none());
    reader.read(&relation(OUTBOX, &layout, columns(&layout))).unwrap();
    assert_eq!(index(reader.read(&insert(OUTBOX, &recommended_row())).unwrap()), 1);
    for content in ["", "{}", "[]", "{\"id\":1}"] {
        let error = reader.read(&message(true, 12, PREFIX, content)).unwrap_err();
        assert!(matches!(error, DecodeError::Message { .. }), "{error:?}");
    }

    assert_eq!(index(reader.read(&message(true, 13, PREFIX, CONTENT)).unwrap()), 6);
    assert!(matches!(reader.read(&commit(100)).unwrap(), Some(WalEvent::Commit { .. })));
    assert_eq!(reader.take_ignored().messages, 1);
    assert!(reader.take_pending().is_none());
}

#[test]
fn a_message_without_a_transaction_is_one_by_itself() {
    let mut reader = reader();
    let begun = reader.read(&message(false, 70, PREFIX, CONTENT)).unwrap();
    assert!(matches!(begun, Some(WalEvent::Begin { commit, .. }) if commit == Lsn::new(70)));
    assert_eq!(index(Some(reader.take_pending().unwrap().unwrap())), 0);
    let ended = reader.take_pending().unwrap().unwrap();
    assert!(matches!(ended, WalEvent::Commit { end } if end == Lsn::new(71)));
    assert!(reader.take_pending().is_none() && !reader.is_in_transaction());
    assert!(reader.read(&message(true, 71, PREFIX, CONTENT)).is_err(), "it belongs to a transaction that never began");
}

#[test]
fn a_configuration_of_a_table_alone_takes_no_message_for_an_event() {
    let table = TableLayout::recommended();
    let mut reader = reader_by(ConnectorConfig::recommended(&table), &table, HashSet::new());
    reader.read(&begin(100)).unwrap();
    assert!(reader.read(&message(true, 10, PREFIX, CONTENT)).unwrap().is_none());
    assert_eq!(reader.take_ignored().messages, 1);
}
