use outbox_core::TableLayout;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;

use crate::Error;
use crate::session::Session;

/// A partition by the time in the id, in milliseconds since 1970: from, inclusive, to, exclusive.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Whether its detachment was begun and not ended.
    pub(crate) is_pending: bool,
}

/// The form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableForm {
    Plain,
    Partitioned,
}

pub(crate) async fn table_form(client: &Session<'_>, layout: &TableLayout) -> Result<Option<TableForm>, Error> {
    let table = layout.qualified_name();
    let sql = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass($1)";
    let row = client.query_opt(sql, &[&table]).await.map_err(|e| Error::database(format!("look at {table}"), e))?;
    Ok(row.map(|row| if row.get(0) { TableForm::Partitioned } else { TableForm::Plain }))
}

/// Returns the partitions of a table, by their time. Partitions whose bounds are not ids are skipped.
pub(crate) async fn partitions(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<Partition>, Error> {
    let table = layout.qualified_name();
    let sql = "SELECT child.relname::text, pg_get_expr(child.relpartbound, child.oid), inhdetachpending
               FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = to_regclass($1)";
    let rows = client.query(sql, &[&table]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the partitions of {table}"), e))?;
    let mut partitions: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let (from, to) = bounds(row.get::<_, Option<&str>>(1)?)?;
            Some(Partition { name: row.get(0), from, to, is_pending: row.get(2) })
        })
        .collect();

    partitions.sort_by_key(|partition| partition.from);
    Ok(partitions)
}

/// Reads the bounds from `FOR VALUES FROM ('…') TO ('…')`.
fn bounds(expression: &str) -> Option<(u64, u64)> {
    let mut quoted = expression.split('\'').skip(1).step_by(2).map(|text| text.parse().ok().map(time_of));
    Some((quoted.next()??, quoted.next()??))
}

/// Returns the time in an id.
pub(crate) fn time_of(id: Uuid) -> u64 {
    (id.as_u128() >> 80) as u64
}

/// Returns the lowest id of a time.
pub(crate) fn first_id(millis: u64) -> Uuid {
    Uuid::from_u128(u128::from(millis) << 80)
}

/// Returns the suffix `_p20261123_060000`, after the beginning of the partition.
pub(super) fn suffix(from: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(from / 1000).unwrap_or_default());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("_p{year:04}{month:02}{day:02}_{:02}{:02}{:02}", time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_they_are_written() {
        let (from, to) = (1_795_392_000_000, 1_795_478_400_000);
        let text = format!("FOR VALUES FROM ('{}') TO ('{}')", first_id(from), first_id(to));
        assert_eq!(bounds(&text), Some((from, to)));
        assert_eq!(bounds("DEFAULT"), None);
        assert_eq!(bounds("FOR VALUES FROM (MINVALUE) TO ('x')"), None);
        assert_eq!(suffix(from + 21_600_000), "_p20261123_060000");
    }
}
