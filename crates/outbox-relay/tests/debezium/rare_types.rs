//! Columns of the types that few outbox tables have.

use outbox_core::ConnectorConfig;
use outbox_core::layout::{Column, ColumnType as T, Nullability};
use postgres::{Client, NoTls};

use crate::configuration::{JSON, PLACEMENT, STRING, With as _, identifier, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

/// The name and the type in the layout, the type in SQL, and the values of each row.
type Line = (&'static str, T, &'static str, [&'static str; 3]);

/// Each converter writes these as one text or number.
const SCALARS: [Line; 20] = [
    ("c_inet", T::Text, "inet", ["'192.168.0.1/24'", "'::1'", "'10.0.0.1'"]),
    ("c_cidr", T::Text, "cidr", ["'10.0.0.0/8'", "'::/0'", "'10.0.0.1'"]),
    ("c_macaddr", T::Text, "macaddr", ["'08:00:2b:01:02:03'", "'0-0-0-0-0-0'", "'ffffff:ffffff'"]),
    (
        "c_macaddr8",
        T::Text,
        "macaddr8",
        ["'08:00:2b:01:02:03'", "'08:00:2b:01:02:03:04:05'", "'00:00:00:00:00:00:00:01'"],
    ),
    ("c_ints", T::Text, "int4range", ["'[1,5)'", "'empty'", "'(,)'"]),
    ("c_longs", T::Text, "int8range", ["'[1,5]'", "'empty'", "'(,)'"]),
    ("c_nums", T::Text, "numrange", ["'[1.5,2.50]'", "'empty'", "'(,)'"]),
    ("c_times", T::Text, "tsrange", ["'[2026-01-02 03:04:05.5,infinity)'", "'empty'", "'(,)'"]),
    ("c_zoned", T::Text, "tstzrange", ["'[2026-01-02 03:04:05+02,)'", "'empty'", "'(,)'"]),
    ("c_days", T::Text, "daterange", ["'[2026-01-02,2026-01-04)'", "'empty'", "'(,)'"]),
    ("c_letter", T::Text, "\"char\"", ["'x'", "'\"'", "' '"]),
    ("c_oid", T::Bigint, "oid", ["4294967295", "0", "1"]),
    ("c_xml", T::Xml, "xml", ["'<a b=\"c\">é</a>'", "'<a/>'", "'x'"]),
    ("c_words", T::Tsvector, "tsvector", ["'fat cat'", "''", "'a:1A'"]),
    ("c_path", T::Ltree, "ltree", ["'a.b.c'", "''", "'A_1'"]),
    ("c_store", T::Hstore, "hstore", ["'b=>1, a=>NULL, \"c d\"=>\"x\\\"y\", aa=>é'", "''", "''"]),
    ("c_timetz", T::Timetz, "timetz", ["'03:04:05.678901+02'", "'24:00:00+00'", "'23:04:05.6-05:30'"]),
    (
        "c_interval",
        T::Interval,
        "interval",
        ["'1 year 2 mons 3 days 04:05:06.789'", "'-1 mons -2 days -03:04:05.000001'", "'0'"],
    ),
    ("c_short", T::Interval, "interval(0)", ["'1 day -00:00:01.5'", "'1000000 hours'", "'-1 year'"]),
    ("c_bit", T::Bit, "bit", ["B'1'", "B'0'", "B'1'"]),
];

/// The StringConverter has these in headers only.
const OTHERS: [Line; 19] = [
    ("c_money", T::Money, "money", ["1234.5", "-0.05", "92233720368547758.07"]),
    ("c_bits", T::Bits, "bit(10)", ["B'1000000001'", "B'0000000000'", "B'0000000111'"]),
    ("c_varbit", T::Bits, "varbit", ["B'101'", "B''", "B'000000000'"]),
    ("a_inet", T::Array(&T::Text), "inet[]", ["'{192.168.0.1,NULL}'", "'{}'", "'{::1}'"]),
    ("a_ranges", T::Array(&T::Text), "int4range[]", ["'{\"[1,5)\",NULL}'", "'{}'", "'{empty}'"]),
    ("a_zoned", T::Array(&T::Text), "tstzrange[]", ["'{\"[2026-01-02,)\"}'", "'{}'", "'{empty}'"]),
    ("a_json", T::Array(&T::Json), "json[]", ["ARRAY['{\"a\" : \"\\n\"}'::json, NULL]", "'{}'", "'{1}'"]),
    ("a_jsonb", T::Array(&T::Jsonb), "jsonb[]", ["ARRAY['{\"a\": \"b\"}'::jsonb, NULL]", "'{}'", "'{null}'"]),
    ("a_oids", T::Array(&T::Bigint), "oid[]", ["'{1,4294967295}'", "'{}'", "'{NULL}'"]),
    (
        "a_us",
        T::Array(&T::TimestampMicros),
        "timestamp[]",
        ["'{\"2026-01-02 03:04:05.678901\",NULL}'", "'{}'", "'{1969-12-31 23:59}'"],
    ),
    (
        "a_ms",
        T::Array(&T::TimestampMillis),
        "timestamp(3)[]",
        ["'{\"2026-01-02 03:04:05.678\"}'", "'{}'", "'{1970-01-01}'"],
    ),
    (
        "a_tz",
        T::Array(&T::Timestamptz),
        "timestamptz[]",
        ["'{\"2026-01-02 03:04:05.678901+02\",NULL}'", "'{}'", "'{2026-01-02}'"],
    ),
    ("a_timetz", T::Array(&T::Timetz), "timetz[]", ["'{03:04:05.678901+02,NULL}'", "'{}'", "'{00:00+00}'"]),
    ("a_bytes", T::Array(&T::Bytea), "bytea[]", ["ARRAY['\\x00ff'::bytea, NULL]", "'{}'", "ARRAY[''::bytea]"]),
    ("a_numeric", T::Array(&T::Numeric), "numeric[]", ["'{1.50,NULL}'", "'{}'", "'{-1200}'"]),
    ("a_citext", T::Array(&T::Text), "citext[]", ["'{A,b}'", "'{}'", "'{NULL}'"]),
    ("a_char", T::Array(&T::Text), "char(3)[]", ["'{A,b}'", "'{}'", "'{NULL}'"]),
    ("a_cidr", T::Array(&T::Text), "cidr[]", ["'{10.0.0.0/8}'", "'{}'", "'{NULL}'"]),
    ("a_mac", T::Array(&T::Text), "macaddr[]", ["'{08:00:2b:01:02:03}'", "'{}'", "'{NULL}'"]),
];

fn placed(lines: &[Line], placement: &str) -> String {
    lines.iter().map(|(name, ..)| format!("{name}:{placement}")).collect::<Vec<_>>().join(",")
}

fn fixture(name: &str) -> DebeziumEnv {
    let lines = || SCALARS.iter().chain(&OTHERS);
    let columns = lines().map(|(name, ty, sql, _)| {
        let length = if *sql == "bit(10)" { 10 } else { -1 };
        Column::foreign(identifier(name), *ty, Nullability::Nullable).type_modifier(length)
    });
    let fixture = DebeziumEnv::without_table(layout(name, T::Json, columns.collect()));
    let columns: Vec<_> = lines().map(|(name, _, sql, _)| format!("{name} {sql}")).collect();
    let create = format!(
        "CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION hstore;
         CREATE TABLE {name} ({COLUMNS}, payload json, {}); CREATE PUBLICATION outbox FOR TABLE {name}",
        columns.join(", ")
    );
    Client::connect(fixture.database_url(), NoTls).unwrap().batch_execute(&create).unwrap();
    fixture
}

fn rows() -> Vec<String> {
    let values = |index: usize| SCALARS.iter().chain(&OTHERS).map(|line| line.3[index]).collect::<Vec<_>>().join(", ");
    let nulls = vec!["NULL"; SCALARS.len() + OTHERS.len()].join(", ");
    let rows = (0..3).map(values).chain([nulls]).enumerate();
    rows.map(|(index, values)| event(index, &format!("'{{}}', {values}"))).collect()
}

/// With the modes of times, bytes, numbers and intervals.
#[test]
fn rare_columns_in_headers() {
    let mut fixture = fixture("rare");
    let all = format!("{},{}", placed(&SCALARS, "header"), placed(&OTHERS, "header"));
    for (name, time, binary, decimal, interval) in [
        ("default", "adaptive", "bytes", "precise", "numeric"),
        ("connect", "connect", "base64", "string", "string"),
        ("iso", "isostring", "hex", "double", "string"),
        ("micros", "microseconds", "base64-url-safe", "precise", "numeric"),
        ("nanos", "nanoseconds", "bytes", "string", "numeric"),
    ] {
        fixture.reader(name, |config| {
            config
                .with("time.precision.mode", time)
                .with("binary.handling.mode", binary)
                .with("decimal.handling.mode", decimal)
                .with("interval.handling.mode", interval)
                .with(PLACEMENT, &*all)
        });
    }

    let as_json = |config: ConnectorConfig| config.without("extended.headers.enabled").with("header.converter", JSON);
    for schemas in ["false", "true"] {
        fixture.reader(&format!("json_{schemas}"), |config| {
            as_json(config).with("header.converter.schemas.enable", schemas).with(PLACEMENT, &*all)
        });
    }

    fixture
        .reader("string", |config| config.with("header.converter", STRING).with(PLACEMENT, placed(&SCALARS, "header")));
    fixture.compare(&rows());
}

#[test]
fn rare_columns_in_keys_and_envelopes() {
    let mut fixture = fixture("rare_values");
    let all = format!("{},{}", placed(&SCALARS, "envelope"), placed(&OTHERS, "envelope"));
    for (name, schemas, interval) in
        [("plain", "false", "numeric"), ("schemas", "true", "string"), ("numbers", "true", "numeric")]
    {
        fixture.reader(name, |config| {
            config
                .with("interval.handling.mode", interval)
                .json_values(schemas)
                .json_keys(schemas)
                .with(PLACEMENT, &*all)
                .option("table.field.event.key", "c_inet")
                .option("route.by.field", "aggregate_type")
        });
    }

    fixture.reader("text", |config| config.option("table.field.event.key", "c_interval"));
    fixture.reader("xml", |config| config.json_keys("true").option("table.field.event.key", "c_xml"));
    fixture.compare(&rows());
}
