//! The rows of a table as PostgreSQL's text output reports them, which is what the WAL's tuples hold too.

use outbox_core::TableLayout;
use outbox_core::bytes::Bytes;
use outbox_core::layout::{ColumnType, ColumnValue, Row};
use outbox_core::time::{Date, Duration, Month, OffsetDateTime, UtcOffset};
use postgres::{Client, SimpleQueryMessage};

/// Returns all rows of the layout's table, in the order of their ids.
pub(crate) fn of(client: &mut Client, layout: &TableLayout) -> Vec<Row> {
    let columns: Vec<_> = layout.columns().iter().map(|column| column.name().to_string()).collect();
    let sql = format!("SELECT {} FROM {} ORDER BY id", columns.join(", "), layout.qualified_name());
    let rows = client.simple_query(&sql).unwrap();
    let rows = rows.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });

    rows.map(|row| {
        let columns = layout.columns().iter().enumerate();
        let values =
            columns.map(|(index, column)| row.get(index).map_or(ColumnValue::Null, |text| value(column.ty(), text)));
        Row::new(layout, values.collect()).unwrap()
    })
    .collect()
}

fn value(ty: ColumnType, text: &str) -> ColumnValue {
    match ty {
        ColumnType::Uuid => ColumnValue::Uuid(text.parse().unwrap()),
        ColumnType::Bytea => ColumnValue::Bytes(hex(text.strip_prefix("\\x").unwrap())),
        ColumnType::Integer => ColumnValue::Integer(text.parse().unwrap()),
        ColumnType::Boolean => ColumnValue::Boolean(text == "t"),
        ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => {
            ColumnValue::Instant(instant(&text.replacen("+00", "", 1)))
        }
        _ => ColumnValue::Text(text.to_owned()),
    }
}

fn hex(text: &str) -> Bytes {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Reads `2026-01-02 03:04:05.678901 BC`
fn instant(text: &str) -> OffsetDateTime {
    let (text, is_before_christ) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (date, clock) = text.split_once(' ').unwrap();
    let date: Vec<i32> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let year = if is_before_christ { 1 - date[0] } else { date[0] };
    let month = Month::try_from(u8::try_from(date[1]).unwrap()).unwrap();
    let date = Date::from_calendar_date(year, month, u8::try_from(date[2]).unwrap()).unwrap();
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let clock: Vec<i64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    let micros: i64 = format!("{fraction:0<6}").parse().unwrap();
    date.midnight().assume_offset(UtcOffset::UTC)
        + Duration::seconds((clock[0] * 60 + clock[1]) * 60 + clock[2])
        + Duration::microseconds(micros)
}
