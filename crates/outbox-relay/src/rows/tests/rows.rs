use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use outbox_core::layout::ColumnValue;
use outbox_core::{ConnectorConfig, Identifier, TableLayout};
use proptest::prelude::*;

use super::super::{BadValue, DecodeError, Ignored, RowReader, WalEvent};
use super::*;
use crate::position::Position;
use outbox_wal::Old;

fn read(reader: &mut RowReader, messages: &[Vec<u8>]) -> Vec<Result<WalEvent, DecodeError>> {
    messages.iter().filter_map(|message| reader.read(message).transpose()).collect()
}

fn index(event: &Result<WalEvent, DecodeError>) -> Option<u32> {
    match event {
        Ok(WalEvent::Row { index, .. }) => Some(*index),
        _ => None,
    }
}

#[test]
fn rows_of_the_table_are_counted_within_their_transaction() {
    let layout = TableLayout::recommended();
    let other = TableLayout::recommended()
        .named(Identifier::new("outbox").unwrap(), Identifier::new("outbox_message_archive").unwrap());

    let mut reader = reader_of(&layout);
    let row = insert(OUTBOX, &recommended_row());
    let events = read(
        &mut reader,
        &[
            begin(100),
            relation(OTHER, &other, columns(&other)),
            insert(OTHER, &recommended_row()),
            relation(OUTBOX, &layout, columns(&layout)),
            row.clone(),
            insert(OTHER, &recommended_row()),
            row.clone(),
            commit(100),
            begin(200),
            row.clone(),
            commit(200),
        ],
    );
    assert_eq!(events.iter().map(index).collect::<Vec<_>>(), [None, Some(0), Some(1), None, None, Some(0), None]);

    let committed_at = UNIX_EPOCH + Duration::from_secs(946_684_800) + Duration::from_micros(1);
    let begun = WalEvent::Begin { commit: Lsn::new(100), committed_at };
    assert_eq!(format!("{:?}", events[0].as_ref().unwrap()), format!("{begun:?}"));

    let ended = WalEvent::Commit { end: Lsn::new(148) };
    assert_eq!(format!("{:?}", events[3].as_ref().unwrap()), format!("{ended:?}"));

    let Ok(WalEvent::Row { row: first, .. }) = &events[1] else { panic!("{events:?}") };
    assert_eq!(first.row.values()[1], ColumnValue::Text("order".to_owned()));
    assert_eq!(first.row.values()[6], ColumnValue::Integer(1));
    assert_eq!(reader.take_ignored(), Ignored { other_tables: 2, ..Ignored::default() });
}

#[test]
fn columns_are_matched_by_name() {
    let layout = TableLayout::recommended();
    let (mut described, mut row) = (columns(&layout), recommended_row().to_vec());
    described.reverse();
    row.reverse();
    described.insert(3, RelationColumn { is_key: false, name: "extra", ty: 600, modifier: -1 });
    row.insert(3, TupleData::Unchanged);

    let mut reversed = reader_of(&layout);
    let mut straight = reader_of(&layout);
    let a = read(&mut reversed, &[begin(1), relation(OUTBOX, &layout, described), insert(OUTBOX, &row)]);
    let b = read(
        &mut straight,
        &[begin(1), relation(OUTBOX, &layout, columns(&layout)), insert(OUTBOX, &recommended_row())],
    );

    let row_of = |events: &[Result<WalEvent, DecodeError>]| match &events[1] {
        Ok(WalEvent::Row { row, .. }) => row.pipeline.encode(&row.row).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(row_of(&a), row_of(&b));
}

#[test]
fn a_table_that_does_not_suit_the_configuration() {
    let layout = TableLayout::recommended();
    for (column, change, reason) in [
        (4, None, "the table has no such column"),
        (4, Some((600, -1)), "the column is of the type with OID 600, which is not modelled"),
        (3, None, "the table has no such column"),
        (3, Some((600, -1)), "the column is of the type with OID 600, which is not modelled"),
    ] {
        let mut described = columns(&layout);
        match change {
            None => drop(described.remove(column)),
            Some((ty, modifier)) => described[column] = RelationColumn { ty, modifier, ..described[column] },
        }
        let mut row = recommended_row().to_vec();
        row.truncate(described.len());
        let mut reader = reader_of(&layout);
        let events = read(&mut reader, &[begin(9), relation(OUTBOX, &layout, described), insert(OUTBOX, &row)]);
        match &events[1] {
            Err(DecodeError::Table { at, source, .. }) => {
                assert!(source.to_string().contains(reason), "{source}");
                assert_eq!(*at, Position { commit: Lsn::new(9), index: 0 });
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The header is as the column was when its row was written.
#[test]
fn rows_from_before_and_after_a_column_was_altered() {
    let layout = TableLayout::recommended();
    let config = ConnectorConfig::recommended(&layout)
        .with("transforms.outbox.table.fields.additional.placement", "event_type:header,created_at:header");
    let mut reader = reader_by(config, &layout, HashSet::new());
    let described = |event_type: u32, precision| {
        let mut described = columns(&layout);
        described[3] = RelationColumn { ty: event_type, modifier: -1, ..described[3] };
        described[5].modifier = precision;
        relation(OUTBOX, &layout, described)
    };

    // The enum of the first one has been dropped.
    let row = insert(OUTBOX, &recommended_row());
    let messages =
        [begin(1), described(99_999, 3), row.clone(), described(1043, 6), row.clone(), described(25, -1), row];

    let headers = read(&mut reader, &messages).into_iter().skip(1).map(|event| match event {
        Ok(WalEvent::Row { row, .. }) => {
            let record = row.pipeline.encode(&row.row).unwrap();
            let header = |name| String::from_utf8(record.header(name).unwrap().to_vec()).unwrap();
            (header("event_type"), header("created_at"))
        }
        other => panic!("{other:?}"),
    });
    let of = |at: &str| ("OrderConfirmed".to_owned(), at.to_owned());
    assert!(headers.eq([of("1795447956123"), of("1795447956123456"), of("1795447956123456")]));
}

#[test]
fn after_a_row_at_fault_the_next_one_keeps_its_index() {
    let layout = TableLayout::recommended();
    let with = |column: usize, datum| {
        let mut row = recommended_row();
        row[column] = datum;
        insert(OUTBOX, &row)
    };

    let mut reader = reader_of(&layout);
    let events = read(
        &mut reader,
        &[
            begin(5),
            relation(OUTBOX, &layout, columns(&layout)),
            with(5, TupleData::Text(b"infinity")),
            with(4, TupleData::Unchanged),
            with(0, TupleData::Null),
            with(4, TupleData::Null),
        ],
    );

    let at = |index| Some(Position { commit: Lsn::new(5), index });
    let rows: Vec<_> = events[1..].iter().map(|event| event.as_ref().err().and_then(DecodeError::row)).collect();
    assert_eq!(rows, [at(0), at(1), at(2), None]);
    assert!(
        matches!(&events[1], Err(DecodeError::Value { column, reason: BadValue::Infinite, .. }) if &**column == "created_at")
    );
    assert!(matches!(&events[2], Err(DecodeError::Value { reason: BadValue::NotText, .. })));
    assert!(matches!(&events[3], Err(DecodeError::Row { .. })));

    let Err(DecodeError::Value { raw, .. }) = &events[1] else { panic!("{events:?}") };
    assert_eq!((raw.get("created_at"), raw.get("aggregate_type")), (Some("infinity"), Some("order")));
    assert!(raw.to_json().contains("\"created_at\":\"infinity\""), "{}", raw.to_json());
    assert!(!format!("{:?}", events[1]).contains("order"), "a value is shown");
    assert_eq!(index(&events[4]), Some(3));
}

#[test]
fn changes_that_the_event_router_drops_are_counted() {
    let layout = TableLayout::recommended();
    let body = Tuple::encode(&recommended_row());
    let row = Tuple::decode(&body).unwrap();
    let mut reader = reader_of(&layout);
    let events = read(
        &mut reader,
        &[
            begin(5),
            relation(OUTBOX, &layout, columns(&layout)),
            Message::Update { relation: OUTBOX, old: None, new: row }.encode(),
            Message::Delete { relation: OUTBOX, old: Old::Key(row) }.encode(),
            Message::Truncate { options: 0, relations: vec![OUTBOX] }.encode(),
            Message::Logical { transactional: true, lsn: Lsn::new(1), prefix: "p", content: b"c" }.encode(),
            commit(5),
        ],
    );

    assert!(events.iter().all(Result::is_ok));
    assert_eq!(events.len(), 2);
    assert_eq!(
        reader.take_ignored(),
        Ignored { updates: 1, deletes: 1, truncates: 1, messages: 1, ..Ignored::default() }
    );
}

fn of_schema(schema: &str) -> TableLayout {
    TableLayout::recommended().named(Identifier::new(schema).unwrap(), Identifier::new("outbox_message").unwrap())
}

#[test]
fn rows_of_several_tables_are_counted_together() {
    let (own, other) = (TableLayout::recommended(), of_schema("billing"));
    let config = ConnectorConfig::recommended(&own).with("table.include.list", r".*\.outbox_message");
    let mut outbox = tables(config.clone(), &own, HashSet::from([OUTBOX]));
    outbox.known.extend(tables(config, &other, HashSet::from([OTHER])).known);

    let mut reader = RowReader::new(outbox, OnUpdate::default());
    let described = [relation(OTHER, &other, columns(&other)), relation(OUTBOX, &own, columns(&own))];
    let rows = [OTHER, OUTBOX, OTHER].map(|oid| insert(oid, &recommended_row()));
    let events = read(&mut reader, &[&[begin(5)][..], &described, &rows].concat());
    let table = |event: &Result<WalEvent, DecodeError>| match event {
        Ok(WalEvent::Row { index, row }) => Some((*index, row.pipeline.layout().schema().as_str().to_owned())),
        _ => None,
    };
    let found: Vec<_> = events.iter().filter_map(table).collect();
    assert_eq!(found, [(0, "billing".to_owned()), (1, "outbox".to_owned()), (2, "billing".to_owned())]);
}

#[test]
fn a_new_included_table_is_an_error_until_it_is_known_or_gone() {
    let (own, other) = (TableLayout::recommended(), of_schema("billing"));
    let config = ConnectorConfig::recommended(&own).with("table.include.list", r".*\.outbox_message");
    let mut outbox = tables(config, &own, HashSet::from([OUTBOX]));
    let messages = [
        begin(5),
        relation(OTHER, &other, columns(&other)),
        Message::Truncate { options: 0, relations: vec![OTHER] }.encode(),
        insert(OTHER, &recommended_row()),
    ];
    let mut reader = RowReader::new(outbox.clone(), OnUpdate::default());
    let error = read(&mut reader, &messages).pop().unwrap().unwrap_err();
    assert!(error.row().is_none() && matches!(error, DecodeError::NewTable { oid: OTHER }), "{error}");
    assert_eq!(reader.take_ignored(), Ignored { truncates: 1, ..Ignored::default() });

    outbox.gone.insert(OTHER);
    let events = read(&mut RowReader::new(outbox, OnUpdate::default()), &messages);
    assert_eq!(events.iter().map(index).collect::<Vec<_>>(), [None, Some(0)]);
}

/// Covers partitions, and the table while it was renamed.
#[test]
fn rows_of_a_member_are_read_whatever_its_name_is() {
    let layout = TableLayout::recommended();
    let mut reader = reader_by(ConnectorConfig::recommended(&layout), &layout, HashSet::from([OTHER]));
    let other =
        TableLayout::recommended().named(Identifier::new("outbox").unwrap(), Identifier::new("elsewhere").unwrap());
    let described = [relation(OTHER, &other, columns(&other)), relation(OUTBOX, &layout, columns(&layout))];
    let rows = [insert(OTHER, &recommended_row()), insert(OUTBOX, &recommended_row())];
    let events = read(&mut reader, &[&[begin(5)][..], &described, &rows].concat());
    assert_eq!(events.iter().map(index).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
}

#[test]
fn messages_out_of_place() {
    let layout = TableLayout::recommended();
    let described = relation(OUTBOX, &layout, columns(&layout));
    let row = insert(OUTBOX, &recommended_row());

    for messages in [
        vec![begin(1), begin(2)],
        vec![commit(1)],
        vec![begin(1), commit(2)],
        vec![begin(1), row.clone()],
        vec![described.clone(), row],
        vec![begin(1), described, insert(OUTBOX, &recommended_row()[..11])],
    ] {
        let last = read(&mut reader_of(&layout), &messages).pop().unwrap();
        assert!(matches!(last, Err(DecodeError::OutOfPlace { .. })), "{last:?}");
    }
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused_with_its_row(
        column in 0_usize..13, text in proptest::collection::vec(any::<u8>(), 0..30)
    ) {
        let layout = TableLayout::recommended();
        let mut row = recommended_row();
        row[column] = TupleData::Text(&text);
        let mut reader = reader_of(&layout);
        let described = relation(OUTBOX, &layout, columns(&layout));
        let event = read(&mut reader, &[begin(1), described, insert(OUTBOX, &row)]).pop().unwrap();
        prop_assert!(event.is_ok() || event.is_err_and(|error| error.row().is_some()));
    }
}
