//! Columns of the types that outbox tables have.

use outbox_core::layout::{Column, ColumnType as T, EventField, Nullability};
use outbox_core::{ConnectorConfig, TableLayout};
use postgres::{Client, NoTls};

use crate::configuration::{PLACEMENT, STRING, With as _, identifier, layout, not_null, nullable};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

const CUSTOM: &str = "CREATE EXTENSION citext; CREATE TYPE kind AS ENUM ('made', 'Paid ''n'' gone');
    CREATE DOMAIN short AS varchar(50); CREATE DOMAIN shorter AS short CHECK (length(value) < 40);
    CREATE DOMAIN counter AS bigint; CREATE DOMAIN coarse AS timestamp(3);";

const TYPES: [(&str, T, &str); 27] = [
    ("c_char", T::Text, "char(8)"),
    ("c_citext", T::Text, "citext"),
    ("c_enum", T::Enum, "kind"),
    ("c_domain", T::Text, "shorter"),
    ("c_counter", T::Bigint, "counter"),
    ("c_coarse", T::TimestampMillis, "coarse"),
    ("c_small", T::Smallint, "smallint"),
    ("c_big", T::Bigint, "bigint"),
    ("c_real", T::Real, "real"),
    ("c_double", T::Double, "double precision"),
    ("c_decimal", T::Decimal(2), "numeric(12, 2)"),
    ("c_tiny", T::Decimal(10), "numeric(20, 10)"),
    ("c_numeric", T::Numeric, "numeric"),
    ("c_date", T::Date, "date"),
    ("c_time3", T::TimeMillis, "time(3)"),
    ("c_time", T::TimeMicros, "time"),
    ("c_texts", T::Array(&T::Text), "text[]"),
    ("c_names", T::Array(&T::Text), "varchar(20)[]"),
    ("c_kinds", T::Array(&T::Text), "kind[]"),
    ("c_smalls", T::Array(&T::Smallint), "smallint[]"),
    ("c_ints", T::Array(&T::Integer), "integer[]"),
    ("c_bigs", T::Array(&T::Bigint), "bigint[]"),
    ("c_bools", T::Array(&T::Boolean), "boolean[]"),
    ("c_doubles", T::Array(&T::Double), "double precision[]"),
    ("c_uuids", T::Array(&T::Uuid), "uuid[]"),
    ("c_decimals", T::Array(&T::Decimal(0)), "numeric(8, 3)[]"),
    ("c_dates", T::Array(&T::Date), "date[]"),
];

const VALUES: [&str; 4] = [
    "'ab', 'Ab', 'made', 'd', 9223372036854775807, '2026-01-02 03:04:05.678', -32768, -9223372036854775808, 1.5, 0.1,
     12.30, 0.0000000001, 12.3450, '2026-01-02', '03:04:05.678', '03:04:05.678901', ARRAY['a', 'b\"c\\,', NULL, ''],
     ARRAY['x y'], ARRAY['made', 'Paid ''n'' gone']::kind[], '{1,NULL}', '{1,-2}', '{1}', '{t,f}', '{1.5,1e30}',
     '{00000000-0000-0000-0000-00000000000A}', '{1.500,-2.25}', '{2026-01-02,1969-12-31}'",
    "'', '', 'Paid ''n'' gone', '', -1, '1969-12-31 23:59:59.999', 32767, 0, 'NaN', 'Infinity', -9999999999.99,
     -0.000001, 12345678901234567890123, '1969-12-31', '00:00', '24:00:00', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
     '{}', '{}', '{}', '{}'",
    "'12345678', 'é', 'made', '😀', 0, '0001-01-01', 0, 1, 16777216, 12345678.9, 0, 0, -0.5, '0044-03-15 BC', '23:59:59.999',
     '00:00:00.000001', '{\"NULL\"}', '{é}', '{made}', '{32767}', '{2147483647}', '{9223372036854775807}', '{NULL}', '{NaN}',
     '{NULL}', '{NULL}', '{NULL}'",
    "'1', '1', 'made', '1', 1, '2026-01-02', 1, 1, 1, 1, 1200, 1200, 1200, '10000-01-01', '00:00:01', '00:00:01', '{1}', '{1}',
     '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{1200}', '{}'",
];

fn table(name: &str) -> (TableLayout, String) {
    let columns = TYPES.map(|(name, ty, _)| Column::foreign(identifier(name), ty, Nullability::Nullable));
    let sql = TYPES.map(|(name, _, sql)| format!("{name} {sql}")).join(", ");
    (layout(name, T::Json, columns.to_vec()), format!("{COLUMNS}, payload json, {sql}"))
}

fn fixture(name: &str) -> DebeziumEnv {
    let (layout, sql) = table(name);
    let fixture = DebeziumEnv::without_table(layout);
    create(&fixture, name, &sql);
    fixture
}

fn create(fixture: &DebeziumEnv, table: &str, columns: &str) {
    let create = format!("{CUSTOM} CREATE TABLE {table} ({columns}); CREATE PUBLICATION outbox FOR TABLE {table}");
    Client::connect(fixture.database_url(), NoTls).unwrap().batch_execute(&create).unwrap();
}

#[test]
fn columns_in_headers() {
    let mut fixture = fixture("headers");
    let placed = TYPES.map(|(name, ..)| format!("{name}:header")).join(",");
    fixture.reader("headers", |config| config.with(PLACEMENT, placed));
    let nulls = TYPES.map(|_| "NULL").join(", ");
    let rows = VALUES.iter().copied().chain([&*nulls]).enumerate();
    let rows: Vec<_> = rows.map(|(index, values)| event(index, &format!("'{{}}', {values}"))).collect();
    fixture.compare(&rows);
}

/// With schemas, the JsonConverter's form of an enum is not modelled; those of decimals and arrays never are.
#[test]
fn columns_in_keys_and_envelopes() {
    let mut fixture = fixture("values");
    let is_modelled = |ty: &T| !matches!(ty, T::Enum | T::Decimal(_) | T::Numeric | T::Array(_));
    let placed = TYPES.iter().filter(|(_, ty, _)| is_modelled(ty)).map(|(name, ..)| format!("{name}:envelope"));
    let placed = placed.collect::<Vec<_>>().join(",");
    fixture.reader("plain", |config| {
        let placed = format!("{placed},c_enum:envelope");
        config.json_values("false").with(PLACEMENT, placed).option("table.field.event.key", "c_decimal")
    });
    fixture.reader("schemas", |config| {
        config.json_values("true").with(PLACEMENT, &*placed).json_keys("true").option("table.field.event.key", "c_big")
    });
    fixture.reader("keyed", |config| {
        let config = config.with(PLACEMENT, "c_enum:header:kind").json_keys("false");
        config.option("table.field.event.key", "c_double").option("route.by.field", "c_enum")
    });

    let rows = [VALUES[0], VALUES[3]].into_iter().enumerate();
    let rows: Vec<_> = rows.map(|(index, values)| event(index, &format!("'{{}}', {values}"))).collect();
    fixture.compare(&rows);
}

/// The id is the key as well, events are routed by their type, and no column holds another part of an event.
#[test]
fn ids_of_every_type() {
    for (name, ty, sql, ids) in [
        ("bigint", T::Bigint, "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", ["DEFAULT", "DEFAULT", "DEFAULT"]),
        ("integer", T::Integer, "serial PRIMARY KEY", ["-8", "7", "9"]),
        (
            "varchar",
            T::Varchar(40),
            "varchar(40) PRIMARY KEY",
            ["'a 1'", "'b ä'", "'c-00000000-0000-4000-8000-000000000001'"],
        ),
        ("inet", T::Text, "inet PRIMARY KEY", ["'10.0.0.1'", "'10.0.0.2/8'", "'::1'"]),
    ] {
        let columns = vec![
            not_null(EventField::Id, "id", ty),
            not_null(EventField::AggregateType, "kind", T::Text),
            nullable(EventField::Payload, "payload", T::Json),
        ];
        let layout = TableLayout::existing(identifier("public"), identifier("outbox"), columns).unwrap();
        let mut fixture = DebeziumEnv::new(layout, &format!("id {sql}, kind text NOT NULL, payload json"));
        fixture.read_defaults();
        let by_kind = |config: ConnectorConfig| {
            config.with(PLACEMENT, "kind:header,id:header:copy").option("table.field.event.key", "id")
        };
        fixture.reader(&format!("{name}_text"), by_kind);
        fixture.reader(&format!("{name}_json"), |config| by_kind(config).json_keys("true").json_values("false"));
        let rows = ids.map(|id| format!("VALUES ({id}, 'Made', '{{}}')"));
        fixture.compare(&rows);
    }
}

const DEFAULTS: [(&str, T, &str); 12] = [
    ("c_small", T::Smallint, "smallint DEFAULT 7"),
    ("c_big", T::Bigint, "bigint DEFAULT abs(-7)"),
    ("c_real", T::Real, "real DEFAULT 1.5"),
    ("c_double", T::Double, "double precision DEFAULT random()"),
    ("c_decimal", T::Decimal(2), "numeric(8, 2) DEFAULT 1"),
    ("c_numeric", T::Numeric, "numeric DEFAULT 1.50"),
    ("c_date", T::Date, "date DEFAULT '2026-01-02'"),
    ("c_today", T::Date, "date DEFAULT CURRENT_DATE"),
    ("c_time", T::TimeMicros, "time DEFAULT '03:04:05'"),
    ("c_enum", T::Enum, "kind DEFAULT 'made'"),
    ("c_texts", T::Array(&T::Text), "text[] DEFAULT '{}'"),
    ("c_char", T::Text, "char(3) DEFAULT 'a'"),
];

#[test]
fn defaults_in_headers() {
    let columns = DEFAULTS.map(|(name, ty, _)| Column::foreign(identifier(name), ty, Nullability::Nullable));
    let layout = layout("defaults", T::Json, columns.to_vec());
    let mut fixture = DebeziumEnv::without_table(layout);
    let columns = DEFAULTS.map(|(name, _, sql)| format!("{name} {sql}")).join(", ");
    create(&fixture, "defaults", &format!("{COLUMNS}, payload json, {columns}"));
    fixture.read_defaults();
    let placed = DEFAULTS.map(|(name, ..)| format!("{name}:header")).join(",");
    fixture.reader("defaults", |config| config.with(PLACEMENT, placed));
    fixture.compare(&[event(0, &format!("'{{}}', {}", DEFAULTS.map(|_| "NULL").join(", ")))]);
}

/// Each change comes between two rows. A record's timestamp has milliseconds in any case.
#[test]
fn columns_that_are_altered_between_rows() {
    let columns = vec![
        Column::foreign(identifier("note"), T::Text, Nullability::Nullable),
        nullable(EventField::CreatedAt, "created_at", T::TimestampMicros),
    ];
    let mut fixture = DebeziumEnv::new(
        layout("altered", T::Json, columns),
        &format!("{COLUMNS}, payload json, note varchar(20), created_at timestamp(3), spare point"),
    );
    fixture.reader("altered", |config| config.with(PLACEMENT, "note:header,event_type:header"));

    let changes = [
        "ADD COLUMN extra text NOT NULL DEFAULT 'x'",
        "RENAME COLUMN spare TO other",
        "DROP COLUMN other",
        "ALTER COLUMN note TYPE text",
        "ALTER COLUMN created_at TYPE timestamp(6)",
        "ADD COLUMN twice text GENERATED ALWAYS AS (event_type || event_type) STORED",
        "ALTER COLUMN aggregate_id TYPE varchar(50)",
    ];

    let columns = "(id, aggregate_type, aggregate_id, event_type, payload, note, created_at)";
    let row = |index| format!("{columns} {}", event(index, "'{}', 'n', '2026-01-02 03:04:05.678'"));
    let mut rows: Vec<_> = changes
        .iter()
        .enumerate()
        .map(|(index, change)| format!("{}; ALTER TABLE altered {change}", row(index)))
        .collect();
    rows.push(row(changes.len()));
    fixture.compare(&rows);
}

const FORMS: [(&str, T, &str); 11] = [
    ("c_date", T::Date, "date"),
    ("c_time3", T::TimeMillis, "time(3)"),
    ("c_time", T::TimeMicros, "time"),
    ("c_ms", T::TimestampMillis, "timestamp(3)"),
    ("c_us", T::TimestampMicros, "timestamp"),
    ("c_tz", T::Timestamptz, "timestamptz"),
    ("c_dates", T::Array(&T::Date), "date[]"),
    ("c_bytes", T::Bytea, "bytea"),
    ("c_decimal", T::Decimal(8), "numeric(16, 8)"),
    ("c_numeric", T::Numeric, "numeric"),
    ("c_decimals", T::Array(&T::Decimal(0)), "numeric(8, 2)[]"),
];

const TIME: &str = "time.precision.mode";
const BINARY: &str = "binary.handling.mode";
const DECIMAL: &str = "decimal.handling.mode";

/// The modes of times, bytes and numbers, each in a payload, in headers and in an envelope.
#[test]
fn forms_of_values() {
    let columns = FORMS.map(|(name, ty, _)| Column::foreign(identifier(name), ty, Nullability::Nullable));
    let columns_sql = FORMS.map(|(name, _, sql)| format!("{name} {sql}")).join(", ");
    let mut fixture = DebeziumEnv::new(
        layout("forms", T::Bytea, columns.to_vec()),
        &format!("{COLUMNS}, payload bytea, {columns_sql}"),
    );

    let headers = FORMS.map(|(name, ..)| format!("{name}:header")).join(",");
    let envelope = FORMS[..6].iter().chain(&FORMS[7..8]).map(|(name, ..)| format!("{name}:envelope"));
    let envelope = envelope.collect::<Vec<_>>().join(",");

    for (name, time, binary, decimal) in [
        ("connect", "connect", "base64", "string"),
        ("iso", "isostring", "base64-url-safe", "double"),
        ("micros", "microseconds", "hex", "precise"),
        ("nanos", "nanoseconds", "bytes", "precise"),
        ("adaptive", "adaptive_time_microseconds", "bytes", "precise"),
    ] {
        let moded = |config: ConnectorConfig| config.with(TIME, time).with(BINARY, binary).with(DECIMAL, decimal);
        fixture.reader(&format!("{name}_headers"), |config| {
            let config = moded(config).with(PLACEMENT, &*headers);
            if binary == "bytes" { config } else { config.with("value.converter", STRING) }
        });
        fixture.reader(&format!("{name}_envelope"), |config| {
            moded(config).with(PLACEMENT, &*envelope).json_values("true")
        });
    }

    fixture.reader("tombstone", |config| {
        let config = config.with(BINARY, "hex").with(TIME, "nanoseconds").without(PLACEMENT);
        config
            .with("value.converter", STRING)
            .option("route.tombstone.on.empty.payload", "true")
            .option("table.field.event.timestamp", "c_us")
    });

    let row = |index, payload, values: &str| event(index, &format!("{payload}, {values}"));
    fixture.compare(&[
        row(
            0,
            "'\\x00fffe10'",
            "'2026-01-02', '03:04:05.678', '03:04:05.678901', '2026-01-02 03:04:05.678',
            '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+02', '{2026-01-02}', '\\xfbff', 0.00000012, 1.50,
            '{1.50,NULL}'",
        ),
        row(
            1,
            "''",
            "'1969-12-31', '00:00', '23:59:59.999999', '2026-01-02', '2026-01-02 03:04', '2026-01-02', '{}', '', -1,
            100, '{}'",
        ),
        row(2, "NULL", "NULL, NULL, NULL, NULL, '2026-01-02', NULL, NULL, NULL, NULL, NULL, NULL"),
    ]);
}
