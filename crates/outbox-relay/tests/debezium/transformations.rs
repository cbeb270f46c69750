//! Other transformations next to the EventRouter, and converters of headers.

use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{ConnectorConfig, TableLayout};

use crate::configuration::{JSON, PLACEMENT, STRING, With as _, identifier, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event, id};

/// The classes of Kafka Connect.
const KAFKA: &str = "org.apache.kafka.connect.transforms.";

fn table(name: &str) -> (TableLayout, String) {
    let foreign = |name, ty| Column::foreign(identifier(name), ty, Nullability::Nullable);
    let columns = vec![
        foreign("n", ColumnType::Integer),
        foreign("urgent", ColumnType::Boolean),
        foreign("at", ColumnType::Timestamptz),
        foreign("seen", ColumnType::TimestampMicros),
        foreign("share", ColumnType::Double),
        foreign("raw", ColumnType::Bytea),
        foreign("tags", ColumnType::Jsonb),
    ];
    let sql = "payload jsonb, n integer, urgent boolean, at timestamptz, seen timestamp(6), share float8, raw bytea, tags jsonb";
    (layout(name, ColumnType::Jsonb, columns), format!("{COLUMNS}, {sql}"))
}

fn rows() -> Vec<String> {
    let row = |index, kind: &str, payload: &str| {
        format!(
            "VALUES ('{}', '{kind}', 'key-{index}', 'é \"Made\"', {payload}, -7, true, '2026-01-02 03:04:05.6789+02',
             '2026-01-02 03:04:05.678901', 1.5, '\\x00ff', '{{\"a\": [1]}}')",
            id(index)
        )
    };
    vec![
        row(0, "order", "'{\"a\": 1}'"),
        row(1, "order", "NULL"),
        row(2, "invoice", "NULL"),
        row(3, "invoice", "'{\"b\": \"ä\"}'"),
        event(4, "'{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL"),
    ]
}

const HEADERS: &str =
    "event_type:header,n:header,urgent:header,at:header,seen:header:when,share:header,raw:header,tags:header";

#[test]
fn headers_are_written_as_json() {
    let (layout, sql) = table("json_headers");
    let mut fixture = DebeziumEnv::new(layout, &sql);

    for schemas in ["false", "true"] {
        fixture.reader(&format!("headers_{schemas}"), |config| {
            config
                .without("extended.headers.enabled")
                .with("header.converter", JSON)
                .with("header.converter.schemas.enable", schemas)
                .with(PLACEMENT, HEADERS)
                .and("mark", "InsertHeader", &[("header", "version"), ("value.literal", "300")])
                .and("name", "InsertHeader", &[("header", "source"), ("value.literal", "shop")])
        });
    }

    fixture.reader("headers_text", |config| {
        let texts = "event_type:header,n:header,urgent:header,at:header,seen:header,share:header,tags:header";
        config.with("header.converter", STRING).with(PLACEMENT, texts)
    });
    fixture.compare(&rows());
}

pub(crate) trait Transformed: Sized {
    fn and(self, name: &str, class: &str, options: &[(&str, &str)]) -> Self;
    fn before(self, name: &str, class: &str, options: &[(&str, &str)]) -> Self;
    fn predicate(self, name: &str, class: &str, option: &str, value: &str) -> Self;
}

impl Transformed for ConnectorConfig {
    /// Adds a transformation behind the others.
    fn and(self, name: &str, class: &str, options: &[(&str, &str)]) -> Self {
        let transforms = format!("{},{name}", self.get("transforms").unwrap());
        options_of(self.with("transforms", transforms), name, class, options)
    }

    /// Adds a transformation before the others.
    fn before(self, name: &str, class: &str, options: &[(&str, &str)]) -> Self {
        let transforms = format!("{name}, {}", self.get("transforms").unwrap());
        options_of(self.with("transforms", transforms), name, class, options)
    }

    fn predicate(self, name: &str, class: &str, option: &str, value: &str) -> Self {
        let predicates = self.get("predicates").map_or_else(|| name.to_owned(), |others| format!("{others},{name}"));
        let config = self
            .with("predicates", predicates)
            .with(format!("predicates.{name}.type"), format!("{KAFKA}predicates.{class}"));
        if option.is_empty() { config } else { config.with(format!("predicates.{name}.{option}"), value) }
    }
}

fn options_of(config: ConnectorConfig, name: &str, class: &str, options: &[(&str, &str)]) -> ConnectorConfig {
    let class = if class.contains('.') { class.to_owned() } else { format!("{KAFKA}{class}") };
    let config = config.with(format!("transforms.{name}.type"), class);
    options.iter().fold(config, |config, (option, value)| config.with(format!("transforms.{name}.{option}"), *value))
}

#[test]
fn transformations_next_to_the_router_apply() {
    let (layout, sql) = table("transformed");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    let placed =
        |config: ConnectorConfig| config.without("extended.headers.enabled").with(PLACEMENT, "event_type:header");

    fixture.reader("topics", |config| {
        placed(config)
            .predicate("isOrder", "TopicNameMatches", "pattern", "(?!.*invoice).*\\.\\p{Lower}{5}+")
            .and("suffix", "RegexRouter", &[("regex", "(.*)\\.order"), ("replacement", "$1.orders")])
            .and(
                "again",
                "RegexRouter",
                &[("regex", "(.*)"), ("replacement", "$1.v2"), ("predicate", "isOrder"), ("negate", "true")],
            )
            .and("never", "RegexRouter", &[("regex", "(.*)"), ("replacement", "x"), ("predicate", "isOrder")])
    });
    fixture.reader("headers", |config| {
        placed(config)
            .predicate("hasType", "HasHeaderKey", "name", "event_type")
            .predicate("isNull", "RecordIsTombstone", "", "")
            .before("early", "InsertHeader", &[("header", "early"), ("value.literal", "a b")])
            .and("late", "InsertHeader", &[("header", "late"), ("value.literal", "-129"), ("predicate", "hasType")])
            .and("null", "InsertHeader", &[("header", "null"), ("value.literal", "true"), ("predicate", "isNull")])
            .and("drop", "DropHeaders", &[("headers", "event_type, __debezium.context.runId,absent")])
            .and("typed", "InsertHeader", &[("header", "typed"), ("value.literal", "x"), ("predicate", "hasType")])
    });

    fixture.reader("twice", |config| placed(config).and("second", "io.debezium.transforms.outbox.EventRouter", &[]));
    fixture.reader("unwrapped", |config| {
        placed(config).option("route.tombstone.on.empty.payload", "true").and(
            "unwrap",
            "io.debezium.transforms.ExtractNewRecordState",
            &[],
        )
    });
    fixture.reader("kept", |config| {
        let keep = ("delete.tombstone.handling.mode", "rewrite-with-tombstone");
        placed(config)
            .option("route.tombstone.on.empty.payload", "true")
            .and("unwrap", "io.debezium.transforms.ExtractNewRecordState", &[keep])
            .and("trace", "io.debezium.transforms.tracing.ActivateTracingSpan", &[])
    });

    fixture.reader("filtered", |config| {
        placed(config.json_values("false"))
            .option("table.expand.json.payload", "true")
            .predicate("isNull", "RecordIsTombstone", "", "")
            .and("filter", "Filter", &[("predicate", "isNull")])
            .and("meta", "SetSchemaMetadata$Value", &[("schema.name", "com.example.Event")])
    });
    fixture.reader("named", |config| {
        let placed = placed(config.json_values("true")).with(PLACEMENT, "event_type:envelope");
        placed
            .predicate("isOrder", "TopicNameMatches", "pattern", ".*\\.order")
            .and("name", "SetSchemaMetadata$Value", &[("schema.name", "com.example.Event"), ("schema.version", "7")])
            .and("version", "SetSchemaMetadata$Value", &[("schema.version", "8"), ("predicate", "isOrder")])
    });
    fixture.compare(&rows());
}

/// With a predicate that only holds for the new topic. Columns of dates and times are in the table, and no record has
/// them.
#[test]
fn logical_topics_of_tables_name_the_schemas_of_envelopes() {
    let (layout, sql) = table("logical_1");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    fixture.reader("logical", |config| {
        config
            .json_keys("true")
            .json_values("true")
            .with("time.precision.mode", "structured")
            .with(PLACEMENT, "event_type:envelope:type,n:header")
            .predicate("isLogical", "TopicNameMatches", "pattern", ".*\\.logical")
            .before(
                "by_table",
                "io.debezium.transforms.ByLogicalTableRouter",
                &[
                    ("topic.regex", "(.*)\\.logical_\\d+"),
                    ("topic.replacement", "$1.logical"),
                    ("key.field.name", "of"),
                    ("key.field.regex", "(.*)\\.(.*)"),
                    ("key.field.replacement", "$2"),
                ],
            )
            .option("predicate", "isLogical")
            .and(
                "elsewhere",
                "io.debezium.transforms.ToLogicalTopicRouter",
                &[("topic.regex", "other\\.(.*)"), ("topic.replacement", "$1")],
            )
    });

    // Debezium gives envelopes of one table the schema's name of the first one, so these are of one topic.
    fixture.compare(&[&rows()[..2], &rows()[4..]].concat());
}

#[test]
fn a_logical_topic_after_the_router_stops_debezium() {
    let (layout, sql) = table("late");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    fixture.reader("late", |config| config.with(PLACEMENT, "event_type:header"));
    for (key, value) in [
        ("transforms.late.type", "io.debezium.transforms.ByLogicalTableRouter"),
        ("transforms.late.topic.regex", "(.*)"),
        ("transforms.late.topic.replacement", "$1"),
        ("transforms", "outbox,late"),
    ] {
        fixture.for_connector_only(key, value);
    }

    let trace = fixture.failure(&rows());
    assert!(trace.contains("Only Struct objects supported"), "{trace}");
}
