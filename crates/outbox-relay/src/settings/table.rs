use outbox_core::connector::RowDisposition;
use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::record::MessageReader;
use outbox_core::{Identifier, TableLayout};
use outbox_wal::TableName;

use super::Finding;
use super::finding::Findings;
use super::resolved::Resolved;
use crate::tables::Candidates;

pub(super) const LIST: &str = "table.include.list";

/// A configuration with a layout that stands for that of a table until the catalogs are read.
pub(super) struct Assumed {
    pub(super) config: Resolved,
    pub(super) layout: Option<TableLayout>,
}

/// Returns the tables that the configuration names, if it has no expression.
pub(super) fn named(config: &Resolved) -> Vec<TableName> {
    let Some(list) = config.get(LIST) else { return Vec::new() };
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(literal).collect::<Option<Vec<_>>>().unwrap_or_default()
}

impl Assumed {
    /// Assumes columns of the types that suit the routers' options: for each table that the configuration names, or
    /// else for each router.
    pub(super) fn all(config: &Resolved, named: &[TableName]) -> Vec<Self> {
        let is_routed = |table: &&TableName| matches!(config.disposition(table), Ok(RowDisposition::Routed) | Err(_));
        let messages = Self::of_messages(config);
        let mut all = match named {
            [] => {
                // The one of messages may see no table.
                let routers = config.routers();
                // Without one, the layout of any table shows why.
                let routers = if routers.is_empty() && messages.is_none() { vec![""] } else { routers };
                let routers =
                    routers.into_iter().filter(|router| messages.is_none() || config.message_router() != Some(*router));
                routers.map(|router| Self::of_any(config, router)).collect()
            }
            [table] => vec![Self::of_table(config, table)],
            // Whether the others are published is not known yet.
            tables if tables.iter().any(|table| is_routed(&table)) => {
                tables.iter().filter(is_routed).map(|table| Self::of_table(config, table)).collect()
            }
            tables => tables.iter().take(1).map(|table| Self::of_table(config, table)).collect::<Vec<_>>(),
        };

        all.extend(messages);
        all
    }

    /// Assumes messages that have all members, if the configuration decodes messages.
    fn of_messages(config: &Resolved) -> Option<Self> {
        let for_pipeline = config.for_pipeline();
        if !for_pipeline.decodes_messages() {
            return None;
        }
        let reader = MessageReader::from_config(&for_pipeline).ok().flatten();
        let layout = reader.and_then(|reader| TableLayout::from_message(&for_pipeline, &reader.sample()).ok());
        // Without one, the layout of a service shows why.
        Some(Self { config: config.clone(), layout: Some(layout.unwrap_or_else(TableLayout::messages)) })
    }

    fn of_table(config: &Resolved, table: &TableName) -> Self {
        let names = Identifier::new(&*table.schema).ok().zip(Identifier::new(&*table.table).ok());
        let router = config.router_of(table);
        let layout = names.and_then(|(schema, table)| assumed_layout(config, router, schema, table));
        Self { config: config.clone(), layout }
    }

    /// Assumes a table that only the database knows, because the list is an expression or absent.
    fn of_any(config: &Resolved, router: &str) -> Self {
        let names = Identifier::new("public").ok().zip(Identifier::new("outbox").ok());
        let layout = names.and_then(|(schema, table)| assumed_layout(config, router, schema, table));
        // Whether another list concerns the table is unknown as well.
        let unknown = ["schema.include.list", "schema.exclude.list", "table.exclude.list"];
        let config = unknown.iter().fold(config.seen_by(router), |config, key| config.with(key, ""));
        let config = match config.candidates() {
            Candidates::Database => config.with(LIST, "public.outbox"),
            Candidates::Publication => config,
        };
        Self { config, layout }
    }
}

/// Warns of tables that the configuration names next to outbox tables, and whose changes stay change events.
pub(super) fn not_routed(config: &Resolved, named: &[TableName], findings: &mut Findings) {
    let disposition = |table: &TableName| config.disposition(table).ok();
    let stays = |table: &&TableName| disposition(table) == Some(RowDisposition::NotRouted);
    let others: Vec<String> = named.iter().filter(stays).map(ToString::to_string).collect();
    if others.is_empty() || others.len() == named.len() {
        return;
    }

    let reason = format!(
        "no EventRouter sees the rows of {}: Debezium writes their changes as change events, and the relay writes events only",
        others.join(", ")
    );
    // Whether they are published is not known here: if they are, the relay is not ready.
    findings.warn(Finding::new(LIST, reason).with_remedy(
        "split the connector: leave them out here, and let Debezium read them with another connector. \
         docs/replace-debezium.md has the commands (\"A connector that reads other tables as well\")",
    ));
}

/// Returns the table that an item of a list names, with or without an escaped dot.
fn literal(item: &str) -> Option<TableName> {
    let item = item.strip_prefix('^').unwrap_or(item);
    let item = item.strip_suffix('$').unwrap_or(item).replace("\\.", ".").replace("[.]", ".");
    if item.contains(['*', '+', '?', '(', '[', '{', '|', '^', '$', '\\']) {
        return None;
    }
    let (schema, table) = item.split_once('.')?;
    let is_name = |name: &str| Identifier::new(name).is_ok();
    (is_name(schema) && is_name(table)).then(|| TableName::from((schema.to_owned(), table.to_owned())))
}

fn assumed_layout(config: &Resolved, router: &str, schema: Identifier, table: Identifier) -> Option<TableLayout> {
    use ColumnType::{Bytea, Integer, Jsonb, Text, TimestampMicros, Uuid};
    let router = Router { config, name: router };
    let has_delegate = config.get("value.converter.delegate.converter.type").is_some();
    let is_binary = config.get("value.converter").is_some_and(|class| {
        class.ends_with(".ByteArrayConverter") || (class.ends_with(".BinaryDataConverter") && !has_delegate)
    });

    let mut columns: Vec<Column> = Vec::new();
    let mut add = |name: &str, ty, field: Option<EventField>| {
        let Ok(name) = Identifier::new(name) else { return };
        if name.as_str().is_empty() || columns.iter().any(|column| *column.name() == name) {
            return;
        }
        columns.push(match field {
            Some(field) => Column::new(field, name, ty, Nullability::NotNull),
            None => Column::foreign(name, ty, Nullability::NotNull),
        });
    };

    let (id, key) =
        (router.option("table.field.event.id", "id"), router.option("table.field.event.key", "aggregateid"));
    let key_type = assumed_key(config);
    let id_type = if id == key { key_type.unwrap_or(Uuid) } else { Uuid };
    add(&id, id_type, Some(EventField::Id));
    let payload = if is_binary { Bytea } else { Jsonb };
    add(&router.option("table.field.event.payload", "payload"), payload, Some(EventField::Payload));
    add(&router.option("route.by.field", "aggregatetype"), Text, Some(EventField::AggregateType));
    add(&router.option("table.field.event.timestamp", ""), TimestampMicros, None);
    add(&router.option("table.field.event.schema.version", ""), Integer, None);

    let placement = router.option("table.fields.additional.placement", "");
    let placed: Vec<_> = placement.split(',').map(|item| item.split(':').map(str::trim).collect::<Vec<_>>()).collect();
    for item in &placed {
        if let [column, "partition", ..] = item.as_slice() {
            add(column, Integer, None);
        }
    }

    add(&key, key_type.unwrap_or(Text), Some(EventField::AggregateId));
    for item in &placed {
        add(item.first().copied().unwrap_or_default(), Text, None);
    }
    TableLayout::existing(schema, table, columns).ok()
}

/// Returns the type of keys that their converter demands, if it takes one type only.
fn assumed_key(config: &Resolved) -> Option<ColumnType> {
    let class = config.get("key.converter").unwrap_or_default().rsplit('.').next().unwrap_or_default();
    Some(match class {
        "ShortConverter" => ColumnType::Smallint,
        "IntegerConverter" => ColumnType::Integer,
        "LongConverter" => ColumnType::Bigint,
        "FloatConverter" => ColumnType::Real,
        "DoubleConverter" => ColumnType::Double,
        "BooleanConverter" => ColumnType::Boolean,
        "ByteArrayConverter" => ColumnType::Bytea,
        "BinaryDataConverter" if config.get("key.converter.delegate.converter.type").is_none() => ColumnType::Bytea,
        _ => return None,
    })
}

/// The router's options.
struct Router<'a> {
    config: &'a Resolved,
    name: &'a str,
}

impl Router<'_> {
    fn option(&self, option: &str, default: &str) -> String {
        self.config.get(&format!("transforms.{}.{option}", self.name)).unwrap_or(default).to_owned()
    }
}
