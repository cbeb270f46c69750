use super::ConnectorConfig;
use crate::{Column, ColumnType, EventField, TableLayout};

impl ConnectorConfig {
    /// Creates the configuration that we recommend for a table: every payload verbatim, every part of an event carried,
    /// no snapshot, nothing created in silence, a heartbeat that moves the slot while the outbox is quiet, and batches
    /// that are compressed, which brokers and networks are helped by.
    ///
    /// Host, port, user, password and name of the database are placeholders for Connect's
    /// `EnvVarConfigProvider` (`config.providers=env`). Slot, publication and `topic.prefix` are called `outbox`.
    #[must_use]
    pub fn recommended(layout: &TableLayout) -> Self {
        let column =
            |field| layout.column_of(field).map(|column| column.name().as_str().to_owned()).unwrap_or_default();
        let table =
            format!("{}.{}", regex_lite::escape(layout.schema().as_str()), regex_lite::escape(layout.table().as_str()));
        // The router takes no timestamptz for the event's timestamp, so it travels as a header.
        let key = layout.column_of(EventField::Key).map_or(EventField::AggregateId, |_| EventField::Key);
        let alias_of = |column: &Column| match column.field()? {
            EventField::Id | EventField::Payload => None,
            field if field == key => None,
            EventField::CreatedAt if column.ty() != ColumnType::Timestamptz => None,
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
            .with("publication.autocreate.mode", "disabled")
            .with("table.include.list", table)
            .with("skipped.operations", "u,d,t")
            .with("snapshot.mode", "no_data")
            .with("tombstones.on.delete", "false")
            .with("extended.headers.enabled", "false")
            .with("heartbeat.interval.ms", "5000")
            .with("heartbeat.action.query", "SELECT pg_logical_emit_message(true, 'outbox-heartbeat', '')")
            .with("message.prefix.exclude.list", "outbox-heartbeat")
            .with("producer.override.compression.type", "lz4")
            .with("key.converter", "org.apache.kafka.connect.storage.StringConverter")
            .with("value.converter", "org.apache.kafka.connect.storage.StringConverter");
        let config = if is_bytea { config.with_bytes_for_values() } else { config };
        let config = config
            .with("transforms", "outbox")
            .with("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter")
            .with("transforms.outbox.route.by.field", column(EventField::AggregateType))
            .with("transforms.outbox.route.topic.replacement", "outbox.events.${routedByValue}")
            .with("transforms.outbox.table.field.event.id", column(EventField::Id))
            .with("transforms.outbox.table.field.event.key", column(key))
            .with("transforms.outbox.table.field.event.payload", column(EventField::Payload));
        let config = match layout.column_of(EventField::CreatedAt) {
            Some(at) if at.ty() != ColumnType::Timestamptz => {
                config.with("transforms.outbox.table.field.event.timestamp", at.name().as_str())
            }
            _ => config,
        };
        config.with("transforms.outbox.table.fields.additional.placement", headers.join(","))
    }

    /// Sets the delegate that heartbeats need. Heartbeats are no bytes: without a delegate for them the first one would
    /// stop the task.
    fn with_bytes_for_values(self) -> Self {
        self.with("value.converter", "io.debezium.converters.BinaryDataConverter")
            .with("value.converter.delegate.converter.type", "org.apache.kafka.connect.json.JsonConverter")
            .with("value.converter.delegate.converter.type.schemas.enable", "false")
    }
}
