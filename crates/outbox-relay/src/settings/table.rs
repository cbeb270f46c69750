use outbox_core::{Column, ColumnType, EventField, Identifier, Nullability, TableLayout};

use super::resolved::Resolved;
use super::router_of;
use crate::tables::Candidates;
use outbox_wal::TableName;

const LIST: &str = "table.include.list";

/// A configuration with a layout that stands for the tables' own until the catalogs are read.
pub(super) struct Assumed {
    pub(super) config: Resolved,
    pub(super) layout: Option<TableLayout>,
    /// The table that the configuration names, if its list is the name of one.
    pub(super) named: Option<TableName>,
}

impl Assumed {
    /// Assumes columns of the types that suit the router's options. A table that only the database knows, because the list is
    /// an expression or absent, gets a name.
    pub(super) fn of(config: &Resolved) -> Self {
        if let Some((schema, table)) = literal(config) {
            let named = TableName::from((schema.as_str().to_owned(), table.as_str().to_owned()));
            return Self { layout: assumed_layout(config, schema, table), config: config.clone(), named: Some(named) };
        }
        let names = Identifier::new("public").ok().zip(Identifier::new("outbox").ok());
        let layout = names.and_then(|(schema, table)| assumed_layout(config, schema, table));
        let lists = ["schema.include.list", "schema.exclude.list", "table.exclude.list"];
        let config = lists.iter().fold(config.clone(), |config, key| config.with(key, ""));
        let config = match config.candidates() {
            Candidates::Database => config.with(LIST, "public.outbox"),
            Candidates::Publication => config,
        };
        Self { config, layout, named: None }
    }
}

/// Returns schema and table of a list that is the name of one table, with or without an escaped dot.
fn literal(config: &Resolved) -> Option<(Identifier, Identifier)> {
    let list = config.get(LIST)?.trim_end_matches(',').trim();
    let list = list.strip_prefix('^').unwrap_or(list);
    let list = list.strip_suffix('$').unwrap_or(list).replace("\\.", ".").replace("[.]", ".");
    if list.contains([',', '*', '+', '?', '(', '[', '{', '|', '^', '$', '\\']) {
        return None;
    }
    let (schema, table) = list.split_once('.')?;
    Identifier::new(schema).ok().zip(Identifier::new(table).ok())
}

fn assumed_layout(config: &Resolved, schema: Identifier, table: Identifier) -> Option<TableLayout> {
    use ColumnType::{Bytea, Integer, Jsonb, Text, TimestampMicros, Uuid};
    let router = Router { config, name: router_of(config) };
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
            Some(field) => Column::of(field, name, ty, Nullability::NotNull),
            None => Column::foreign(name, ty, Nullability::NotNull),
        });
    };

    add(&router.option("table.field.event.id", "id"), Uuid, Some(EventField::Id));
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
    add(&router.option("table.field.event.key", "aggregateid"), Text, None);
    for item in &placed {
        add(item.first().copied().unwrap_or_default(), Text, None);
    }
    TableLayout::existing(schema, table, columns).ok()
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
