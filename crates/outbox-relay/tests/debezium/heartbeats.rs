//! Heartbeats, as the converters and the transformations make them.

use outbox_core::ConnectorConfig;
use outbox_core::layout::ColumnType;

use crate::configuration::{BINARY_DATA, JSON, With as _, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event};
use crate::transformations::Transformed as _;

fn beating(config: ConnectorConfig) -> ConnectorConfig {
    config.with("heartbeat.interval.ms", "300")
}

#[test]
fn heartbeats_are_those_of_debezium() {
    let layout = layout("of_heartbeats", ColumnType::Jsonb, vec![]);
    let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload jsonb"));
    fixture.reader_named("text", |config, name| {
        beating(config)
            .with("topic.heartbeat.name", format!("beats-of-{name}"))
            .with("topic.heartbeat.prefix", "unused")
            .and("mark", "InsertHeader", &[("header", "kind"), ("value.literal", "7")])
            .and("name", "InsertHeader", &[("header", "source"), ("value.literal", "shop")])
            .and("drop", "DropHeaders", &[("headers", "source")])
            .and("again", "io.debezium.transforms.outbox.EventRouter", &[])
    });

    fixture.reader("json", |config| {
        beating(config)
            .json_keys("false")
            .with("value.converter", BINARY_DATA)
            .with("value.converter.delegate.converter.type", JSON)
            .with("value.converter.delegate.converter.type.schemas.enable", "false")
            .with("heartbeat.topics.prefix", "ignored")
            .predicate("beats", "TopicNameMatches", "pattern", ".*heartbeat.*")
            .and("rename", "RegexRouter", &[("regex", "(.*)"), ("replacement", "$1.renamed"), ("predicate", "beats")])
            .and("unwrap", "io.debezium.transforms.ExtractNewRecordState", &[])
    });

    let logical = [
        ("topic.regex", "(.*heartbeat)s?\\.(.*)"),
        ("topic.replacement", "$1-of.$2"),
        ("key.field.name", "from"),
        ("key.field.regex", "(.*)-heartbeat(.*)"),
        ("key.field.replacement", "$1$2"),
    ];

    fixture.reader("schemas", |config| {
        beating(config.json_keys("true").json_values("true"))
            .before("logical", "io.debezium.transforms.ByLogicalTableRouter", &logical)
            .before("plain", "io.debezium.transforms.ToLogicalTopicRouter", &logical[..2])
            .predicate("of", "TopicNameMatches", "pattern", ".*-of\\..*")
            .and("mark", "InsertHeader", &[("header", "of"), ("value.literal", "true"), ("predicate", "of")])
    });
    fixture.compare_heartbeats(&[event(0, "'{}'")]);
}
