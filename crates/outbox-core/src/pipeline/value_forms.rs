use super::Found;
use crate::connector::RouterConfig;
use crate::{ColumnType, ConnectorConfig, Error, TableLayout};

/// Finds options that change how Debezium writes the values of columns: records have the default forms, so columns that have
/// another one may not be in records.
pub(super) fn check(config: &ConnectorConfig, router: &RouterConfig, layout: &TableLayout, found: &mut Found) {
    let used = Used { router, layout };
    found.take(times(config, &used));
    let bytes = |ty: ColumnType| ty == ColumnType::Bytea;
    found.take(used.checked(config, "binary.handling.mode", "bytes", bytes));
    let decimals = |ty: ColumnType| matches!(ty, ColumnType::Decimal(_) | ColumnType::Numeric);
    found.take(used.checked(config, "decimal.handling.mode", "precise", decimals));
}

fn times(config: &ConnectorConfig, used: &Used<'_>) -> Result<(), Error> {
    use ColumnType::{Date, TimeMicros, TimeMillis, TimestampMicros, TimestampMillis};
    let (key, default) = ("time.precision.mode", "adaptive");
    let mode = config.trimmed(key).unwrap_or(default).to_ascii_lowercase();
    // Columns of these types have another form. As the record's timestamp, a number is a number.
    let (changed, is_number): (&[ColumnType], bool) = match mode.as_str() {
        "adaptive" => return Ok(()),
        "adaptive_time_microseconds" => (&[TimeMillis], true),
        "microseconds" => (&[TimeMillis, TimestampMillis], true),
        "nanoseconds" => (&[TimeMillis, TimeMicros, TimestampMillis, TimestampMicros], true),
        "connect" | "isostring" => (&[Date, TimeMillis, TimeMicros, TimestampMillis, TimestampMicros], false),
        _ => return Err(Error::config(key, mode, "Debezium has no such mode")),
    };
    if !is_number && used.router.timestamp.is_some() {
        let reason = "with table.field.event.timestamp Debezium's task fails at each row, because the router takes a \
                      number only: set it to adaptive";
        return Err(Error::config(key, mode, reason));
    }
    used.checked(config, key, default, |ty| changed.contains(&ty))
}

/// The columns that records hold.
struct Used<'a> {
    router: &'a RouterConfig,
    layout: &'a TableLayout,
}

impl Used<'_> {
    /// Checks that a mode other than the default changes no column that records hold.
    fn checked(
        &self,
        config: &ConnectorConfig,
        key: &str,
        default: &str,
        changes: impl Fn(ColumnType) -> bool,
    ) -> Result<(), Error> {
        let mode = config.trimmed(key).unwrap_or(default);
        if mode.eq_ignore_ascii_case(default) {
            return Ok(());
        }
        let placed = self.router.placed.iter().map(|placed| &placed.column);
        let mut used = placed.chain([&self.router.id, &self.router.key, &self.router.payload]);
        match used.find(|name| self.layout.column(name).is_some_and(|column| changes(column.ty()))) {
            Some(name) => {
                let reason = format!(
                    "it changes the form of the column {name}, and the default form only is modelled: remove the key, or do \
                     not use the column"
                );
                Err(Error::config(key, mode, reason))
            }
            None => Ok(()),
        }
    }
}
