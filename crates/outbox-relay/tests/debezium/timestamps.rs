//! The record's timestamp.

use outbox_core::layout::{ColumnType, EventField};

use crate::configuration::{PLACEMENT, layout, nullable};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

const FAR: &str = "topic.creation.default.message.timestamp.after.max.ms";
const LONG_AGO: &str = "topic.creation.default.message.timestamp.before.max.ms";

#[test]
fn timestamps_of_columns() {
    for (ty, sql) in [(ColumnType::TimestampMillis, "timestamp(3)"), (ColumnType::TimestampMicros, "timestamp")] {
        let columns = vec![nullable(EventField::CreatedAt, "created_at", ty)];
        let layout = layout("timed", ColumnType::Json, columns);
        let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload json, created_at {sql}"));
        fixture.reader("timed", |config| config.with(FAR, i64::MAX.to_string()).with(LONG_AGO, i64::MAX.to_string()));
        fixture.for_connector_only("errors.tolerance", "all");

        let at = [
            "2026-01-02 03:04:05.678901",
            "2026-01-02 03:04:05.678999",
            "1970-01-01",
            "1970-01-01 00:00:00.001999",
            "1969-12-31 23:59:59.999001",
            "1969-12-31 23:59:59.999",
            "9999-12-31 23:59:59.999",
        ];
        let mut rows: Vec<_> =
            at.iter().enumerate().map(|(index, at)| event(index, &format!("'{{}}', '{at}'"))).collect();

        rows.push(event(at.len(), "'{}', NULL"));
        fixture.compare(&rows);
    }
}

/// Connect refuses such a record whatever is tolerated.
#[test]
fn a_timestamp_before_1970_fails_the_task() {
    let columns = vec![nullable(EventField::CreatedAt, "created_at", ColumnType::TimestampMicros)];
    let layout = layout("timed", ColumnType::Json, columns);
    let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload json, created_at timestamp"));
    fixture.reader("before", |config| config);
    let failure = fixture.failure(&[event(0, "'{}', '2026-01-02'"), event(1, "'{}', '1969-12-31 23:59:59.998'")]);
    assert!(failure.contains("Invalid record timestamp -2"), "{failure}");
}

/// Instants that PostgreSQL has and [`outbox_core::layout::ColumnValue`] has not: such a row is poison to the relay.
#[test]
fn instants_beyond_the_year_9999() {
    let layout = layout("beyond", ColumnType::Json, vec![]);
    let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload json, us timestamp, tz timestamptz"));
    fixture.reader("beyond", |config| config);
    fixture.for_connector_only(PLACEMENT, "us:header,tz:header");
    fixture.for_connector_only("errors.tolerance", "all");

    let at = ["12345-01-02 03:04:05.5", "infinity", "-infinity", "294276-12-31 23:59:59"];
    let mut rows: Vec<_> =
        at.iter().enumerate().map(|(index, at)| event(index, &format!("'{{}}', '{at}', '{at}'"))).collect();

    rows.push(event(at.len(), "'{}', '2026-01-02', '2026-01-02'"));
    let outcomes = fixture.outcomes(&rows);
    let headers = outcomes.iter().map(|outcome| {
        let header =
            |name| outcome.debezium.as_ref()?.header(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        (header("us"), header("tz"))
    });
    let headers: Vec<_> = headers.collect();
    let shown = |us: &str, tz: &str| (Some(us.to_owned()), Some(tz.to_owned()));

    assert_eq!(
        headers,
        [
            shown("327403479845500000", "+12345-01-02T03:04:05.500000Z"),
            shown("9223372036854775807", "infinity"),
            shown("-9223372036854775808", "-infinity"),
            // It is beyond 64 bits of microseconds.
            shown("9223372036854775807", "+294276-12-31T23:59:59.000000Z"),
            shown("1767312000000000", "2026-01-02T00:00:00.000000Z"),
        ]
    );
}
