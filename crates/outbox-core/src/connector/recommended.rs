//! The connector's configuration for a layout. Each column that holds a part of the event becomes a header.
//! `deploy/outbox-connector.json` and `deploy/strimzi/kafka-connector.yaml` are copies, which tests compare.

use super::transforms::DECODE_CLASS;
use super::{ConnectorConfig, java_regex};
use crate::{Column, ColumnType, EventField, RowLife, TableLayout};

impl ConnectorConfig {
    /// Creates the configuration that we recommend for a table: payloads are verbatim, every part of an event is in the
    /// record, there is no snapshot, missing objects are not created, a heartbeat moves the slot while the outbox is
    /// quiet, and batches are compressed.
    ///
    /// Host, port, user, password and name of the database are placeholders for Connect's
    /// `EnvVarConfigProvider` (`config.providers=env`). Slot, publication and `topic.prefix` are called `outbox`.
    #[must_use]
    pub fn recommended(layout: &TableLayout) -> Self {
        let column =
            |field| layout.column_of(field).map(|column| column.name().as_str().to_owned()).unwrap_or_default();

        let table =
            format!("{}.{}", java_regex::escape(layout.schema().as_str()), java_regex::escape(layout.table().as_str()));

        // The router takes a number only for the event's timestamp. In another form it travels as a header.
        let is_timestamp =
            |column: &Column| matches!(column.ty(), ColumnType::TimestampMillis | ColumnType::TimestampMicros);

        let key = layout.column_of(EventField::Key).map_or(EventField::AggregateId, |_| EventField::Key);
        let alias_of = |column: &Column| match column.field()? {
            EventField::Id | EventField::Payload => None,
            field if field == key => None,
            EventField::CreatedAt if is_timestamp(column) => None,
            field => Some(field.name()),
        };
        let headers: Vec<_> = layout
            .columns()
            .iter()
            .filter_map(|column| Some((column.name().as_str(), column.header_name().or_else(|| alias_of(column))?)))
            .map(|(name, alias)| match name == alias {
                true => format!("{name}:header"),
                false => format!("{name}:header:{alias}"),
            })
            .collect();

        let is_bytea = layout.column_of(EventField::Payload).is_some_and(|column| column.ty() == ColumnType::Bytea);
        let config = Self { entries: Vec::new() }
            .with("connector.class", "io.debezium.connector.postgresql.PostgresConnector")
            .with("tasks.max", "1")
            .with("database.hostname", "${env:OUTBOX_DB_HOST}")
            .with("database.port", "${env:OUTBOX_DB_PORT}")
            .with("database.user", "${env:OUTBOX_DB_USER}")
            .with("database.password", "${env:OUTBOX_DB_PASSWORD}")
            .with("database.dbname", "${env:OUTBOX_DB_NAME}")
            .with("topic.prefix", "outbox")
            .with("plugin.name", "pgoutput")
            .with("slot.name", "outbox")
            .with("publication.name", "outbox")
            .with("publication.autocreate.mode", "disabled");
        let config = match layout.row_life().has_table() {
            true => config.with("table.include.list", table),
            false => config.with("table.exclude.list", ".*"),
        };
        let config = config
            .with("skipped.operations", "u,d,t")
            .with("snapshot.mode", "no_data")
            .with("tombstones.on.delete", "false")
            .with("extended.headers.enabled", "false")
            .with("heartbeat.interval.ms", "5000")
            .with("heartbeat.action.query", "SELECT pg_logical_emit_message(true, 'outbox-heartbeat', '')");
        let config = match layout.message_prefix() {
            None => config.with("message.prefix.exclude.list", "outbox-heartbeat"),
            Some(prefix) => config.with("message.prefix.include.list", java_regex::escape(&prefix)),
        };
        let config = config
            .with("producer.override.compression.type", "lz4")
            .with("key.converter", "org.apache.kafka.connect.storage.StringConverter")
            .with("value.converter", "org.apache.kafka.connect.storage.StringConverter");
        let config = if is_bytea { config.with_bytes_for_values() } else { config };
        let config = match layout.row_life().has_table() {
            true => config.with("transforms", "outbox"),
            false => config.with("transforms", "decode,outbox").with_decoded_messages(),
        };
        let config = config
            .with("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter")
            .with("transforms.outbox.route.by.field", column(EventField::AggregateType))
            .with("transforms.outbox.route.topic.replacement", "outbox.events.${routedByValue}")
            .with("transforms.outbox.table.field.event.id", column(EventField::Id))
            .with("transforms.outbox.table.field.event.key", column(key))
            .with("transforms.outbox.table.field.event.payload", column(EventField::Payload));
        let config = match layout.column_of(EventField::CreatedAt) {
            Some(at) if is_timestamp(at) => {
                config.with("transforms.outbox.table.field.event.timestamp", at.name().as_str())
            }
            _ => config,
        };

        let config = config.with("transforms.outbox.table.fields.additional.placement", headers.join(","));

        match layout.row_life().has_table() {
            true => config,
            // A message has no default for a member that an older program does not write.
            false => config.with("transforms.outbox.table.field.additional.missing", "ignore"),
        }
    }

    /// Adds an outbox without a table to a table's configuration, so that one connector, or one relay, reads both.
    ///
    /// Messages get a separate EventRouter, because the router cannot read a timestamp from a message. Their topics are
    /// those of the table's events.
    #[must_use]
    pub fn with_messages(self, messages: &TableLayout) -> Self {
        const ROUTER: &str = "messages";
        let table_router = self.routers().next().unwrap_or("outbox").to_owned();
        let of_table = |option: &str| format!("transforms.{table_router}.{option}");
        let topics = self.get(&of_table("route.topic.replacement")).map(str::to_owned);
        let messages = messages.clone().with_row_life(RowLife::Message);
        let source = Self::recommended(&messages);

        let names: Vec<&str> = self.get("transforms").unwrap_or_default().split(',').map(str::trim).collect();
        let after = names.iter().position(|name| *name == table_router).map_or(names.len(), |at| at + 1);
        let (before, rest) = names.split_at_checked(after).unwrap_or((names.as_slice(), &[]));
        let names = [&["decode"][..], before, &[ROUTER][..], rest].concat().join(",");
        let listed = |key: &str, item: &str| match self.trimmed(key).filter(|list| !list.is_empty()) {
            Some(list) => format!("{list},{item}"),
            None => item.to_owned(),
        };
        let prefix = java_regex::escape(&messages.message_prefix().unwrap_or_default());
        let (prefixes, predicates) = (listed("message.prefix.include.list", &prefix), listed("predicates", ROUTER));
        let topic = format!("{}\\.message", java_regex::escape(self.trimmed("topic.prefix").unwrap_or_default()));
        let has_predicate = self.get(&of_table("predicate")).is_some();

        // Debezium takes one of the two lists.
        let mut config = self
            .without("message.prefix.exclude.list")
            .with("message.prefix.include.list", prefixes)
            .with("transforms", names)
            .with_decoded_messages()
            .with("transforms.decode.predicate", ROUTER);
        if !has_predicate {
            config = config.with(of_table("predicate"), ROUTER).with(of_table("negate"), "true");
        }
        for (key, value) in source.iter() {
            if let Some(option) = key.strip_prefix("transforms.outbox.") {
                config = config.with(format!("transforms.{ROUTER}.{option}"), value);
            }
        }

        if let Some(topics) = topics {
            config = config.with(format!("transforms.{ROUTER}.route.topic.replacement"), topics);
        }

        config
            .with(format!("transforms.{ROUTER}.predicate"), ROUTER)
            .with("predicates", predicates)
            .with(
                format!("predicates.{ROUTER}.type"),
                "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            )
            .with(format!("predicates.{ROUTER}.pattern"), topic)
    }

    /// Adds the transformation that makes rows of logical decoding messages. Without null members, the task would stop
    /// at an event without a payload.
    fn with_decoded_messages(self) -> Self {
        self.with("transforms.decode.type", DECODE_CLASS).with("transforms.decode.fields.null.include", "true")
    }

    /// Sets the delegate that heartbeats need. Heartbeats are no bytes: without a delegate for them the first one would
    /// stop the task.
    fn with_bytes_for_values(self) -> Self {
        self.with("value.converter", "io.debezium.converters.BinaryDataConverter")
            .with("value.converter.delegate.converter.type", "org.apache.kafka.connect.json.JsonConverter")
            .with("value.converter.delegate.converter.type.schemas.enable", "false")
    }
}
