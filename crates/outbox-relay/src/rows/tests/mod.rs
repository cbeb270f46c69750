mod forms;
mod messages;
mod rows;

use std::collections::HashSet;

use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{ConnectorConfig, TableLayout};
use outbox_wal::{CatalogueColumn, CustomTypes, Lsn, Message, Relation, RelationColumn, TableName, Tuple, TupleData};

use super::{OutboxTable, OutboxTables, RowReader};
use crate::settings::OnUpdate;
use crate::tables::Included;

const OUTBOX: u32 = 16_384;
const OTHER: u32 = 16_400;

/// Returns a reader of a table that the catalogs have as the layout says.
fn reader_of(layout: &TableLayout) -> RowReader {
    reader_by(ConnectorConfig::recommended(layout), layout, HashSet::new())
}

fn reader_by(config: ConnectorConfig, layout: &TableLayout, members: HashSet<u32>) -> RowReader {
    RowReader::new(tables(config, layout, members), OnUpdate::default())
}

fn tables(config: ConnectorConfig, layout: &TableLayout, oids: HashSet<u32>) -> OutboxTables {
    let included = Included::new(config).unwrap();
    let name = TableName::from((layout.schema().as_str().to_owned(), layout.table().as_str().to_owned()));
    let known = vec![OutboxTable { name, oids, columns: catalog(layout) }];
    OutboxTables { included, types: CustomTypes::default(), known, gone: HashSet::new() }
}

fn catalog(layout: &TableLayout) -> Vec<CatalogueColumn> {
    let column = |column: &Column| {
        let (ty, modifier) = oid(column.ty());
        let is_nullable = column.nullability() == Nullability::Nullable;
        CatalogueColumn { name: column.name().as_str().to_owned(), ty, modifier, is_nullable, default: None }
    };
    layout.columns().iter().map(column).collect()
}

fn oid(ty: ColumnType) -> (u32, i32) {
    match ty {
        ColumnType::Uuid => (2950, -1),
        ColumnType::Text => (25, -1),
        ColumnType::Varchar(n) => (1043, n.cast_signed() + 4),
        ColumnType::Json => (114, -1),
        ColumnType::Jsonb => (3802, -1),
        ColumnType::Bytea => (17, -1),
        ColumnType::Integer => (23, -1),
        ColumnType::TimestampMicros => (1114, 6),
        ColumnType::TimestampMillis => (1114, 3),
        ty => (ty.oid(), -1),
    }
}

fn columns(layout: &TableLayout) -> Vec<RelationColumn<'_>> {
    let told = |column| {
        let (ty, modifier) = oid(Column::ty(column));
        RelationColumn { is_key: false, name: column.name().as_str(), ty, modifier }
    };
    layout.columns().iter().map(told).collect()
}

fn relation<'a>(id: u32, layout: &'a TableLayout, columns: Vec<RelationColumn<'a>>) -> Vec<u8> {
    let (schema, name) = (layout.schema().as_str(), layout.table().as_str());
    Message::Relation(Relation { id, schema, name, replica_identity: b'd', columns }).encode()
}

fn insert(relation: u32, columns: &[TupleData<'_>]) -> Vec<u8> {
    let body = Tuple::encode(columns);
    let new = Tuple::decode(&body).unwrap();
    Message::Insert { relation, new }.encode()
}

fn begin(commit: u64) -> Vec<u8> {
    Message::Begin { commit: Lsn::new(commit), micros: 1, xid: 7 }.encode()
}

fn commit(commit: u64) -> Vec<u8> {
    Message::Commit { commit: Lsn::new(commit), end: Lsn::new(commit + 48), micros: 1 }.encode()
}

/// Returns a row of [`TableLayout::recommended`], about 260 bytes in PostgreSQL.
fn recommended_row() -> [TupleData<'static>; 13] {
    let payload = br#"{"orderId":"0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6c","customer":"c-1042","status":"confirmed","total":{"amount":"129.90","currency":"EUR"},"lines":3,"note":"leave at the door please"}"#;
    [
        &b"0190a7c1-6a52-7b0e-9c55-3d2f1e8a4b6d"[..],
        b"order",
        b"o-1042",
        b"OrderConfirmed",
        payload,
        b"2026-11-23 15:32:36.123456",
        b"1",
        b"application/json",
        b"",
        b"",
        b"",
        b"{}",
        b"",
    ]
    .map(TupleData::Text)
}
