use outbox_core::{ColumnType, TableLayout};

use super::finding::{Finding, Findings};
use super::resolved::Resolved;

/// Checks the options that change how Debezium writes a column's values: the relay writes the default forms, so columns that
/// have another one may not be in records.
pub(super) fn check(config: &Resolved, router: &str, layout: &TableLayout, findings: &mut Findings) {
    let used = Used { config, router, layout };
    findings.take(times(&used));
    findings.take(bytes(&used));
}

fn times(used: &Used<'_>) -> Result<(), Finding> {
    use ColumnType::{TimestampMicros, TimestampMillis};
    let key = "time.precision.mode";
    let mode = used.config.get(key).unwrap_or("adaptive").to_ascii_lowercase();
    // Columns of these types have another form. As the record's timestamp, a number is a number.
    let (changed, is_number): (&[ColumnType], bool) = match mode.as_str() {
        "adaptive" | "adaptive_time_microseconds" => return Ok(()),
        "microseconds" => (&[TimestampMillis], true),
        "nanoseconds" => (&[TimestampMillis, TimestampMicros], true),
        "connect" | "isostring" => (&[TimestampMillis, TimestampMicros], false),
        _ => return Err(Finding::new(key, "Debezium has no such mode")),
    };
    if !is_number && used.config.get(&used.option("table.field.event.timestamp")).is_some() {
        let reason =
            "with table.field.event.timestamp Debezium's task fails at each row: the router takes a number only";
        return Err(Finding::new(key, reason).with_remedy("set it to adaptive"));
    }
    match used.placed(changed) {
        Some(column) => {
            let reason =
                format!("it changes the form of the column {column}, and the relay writes the default form only");
            Err(Finding::new(key, reason).with_remedy("remove the key, or do not place the column"))
        }
        None => Ok(()),
    }
}

fn bytes(used: &Used<'_>) -> Result<(), Finding> {
    let key = "binary.handling.mode";
    let mode = used.config.get(key).unwrap_or("bytes").to_ascii_lowercase();
    if mode == "bytes" {
        return Ok(());
    }
    match used.placed(&[ColumnType::Bytea]).or_else(|| used.payload(ColumnType::Bytea)) {
        Some(column) => {
            let reason = format!("it makes text of the bytes of the column {column}, and the relay writes bytes only");
            Err(Finding::new(key, reason).with_remedy("remove the key, and use a converter for bytes"))
        }
        None => Ok(()),
    }
}

/// The columns that records hold.
struct Used<'a> {
    config: &'a Resolved,
    router: &'a str,
    layout: &'a TableLayout,
}

impl<'a> Used<'a> {
    fn option(&self, option: &str) -> String {
        format!("transforms.{}.{option}", self.router)
    }

    /// Returns the first placed column of these types.
    fn placed(&self, types: &[ColumnType]) -> Option<&'a str> {
        let placed = self.config.get(&self.option("table.fields.additional.placement"))?;
        placed.split(',').find_map(|item| self.column(item.split(':').next()?.trim(), types))
    }

    fn payload(&self, ty: ColumnType) -> Option<&'a str> {
        self.column(self.config.get(&self.option("table.field.event.payload")).unwrap_or("payload"), &[ty])
    }

    fn column(&self, name: &str, types: &[ColumnType]) -> Option<&'a str> {
        let column = self.layout.column(name)?;
        types.contains(&column.ty()).then(|| column.name().as_str())
    }
}
