use outbox_core::{Column, ColumnType, ConnectorConfig, EventField, Identifier, Nullability, TableLayout};

use super::builder::RelaySettingsBuilder;
use super::finding::{Finding, Findings};
use super::placeholders::Process;
use super::postgres::PostgresSettings;
use super::resolved::Resolved;
use super::{SettingsError, router_of};
use crate::relay::connect_options;
use outbox_wal::ConnectOptions;

pub(super) const LIST: &str = "table.include.list";

impl RelaySettingsBuilder {
    /// Looks in the database for the outbox table, if `table.include.list` is an expression and not the name of one table.
    ///
    /// # Errors
    /// The database cannot be reached, or the list does not match exactly one table.
    pub async fn table_from_database(self) -> Result<Self, SettingsError> {
        let mut findings = Findings::of(self.config().clone());
        let config = Resolved::of(self.config().clone(), &Process, &mut findings);
        if known_table(&config).is_some() || config.get(LIST).is_none() {
            return Ok(self);
        }

        // Everything that needs no database is reported first, and at once.
        self.clone().checked(&Process, Findings::of(self.config().clone())).into_result()?;
        let password = self.postgres_password_source();
        let Some(postgres) = PostgresSettings::new(&config, password, &Process, &mut findings) else {
            return Err(findings.into_error());
        };
        let table = only_table(&connect_options(&postgres), &config.for_pipeline()).await?;
        Ok(self.table(table))
    }
}

/// Returns the one table of the database that the list matches.
async fn only_table(
    options: &ConnectOptions,
    config: &ConnectorConfig,
) -> Result<(Identifier, Identifier), SettingsError> {
    let tables = outbox_wal::tables(options).await.map_err(|e| SettingsError::table(LIST.to_owned()).caused_by(e))?;
    let mut found = Vec::new();
    for (schema, table) in tables {
        if config.includes_table(&schema, &table).map_err(SettingsError::form)? {
            found.push((schema, table));
        }
    }

    let name = |text: &str| Identifier::new(text).ok();
    match found.as_slice() {
        [(schema, table)] => {
            name(schema).zip(name(table)).ok_or_else(|| Finding::new(LIST, "the table has no usable name").into())
        }
        [] => Err(Finding::new(LIST, "there is no such table, or this role may not see it").into()),
        several => {
            let names: Vec<_> = several.iter().map(|(schema, table)| format!("{schema}.{table}")).collect();
            let reason = format!("the relay reads one table, and this matches {}", names.join(", "));
            Err(Finding::new(LIST, reason).with_remedy("name the outbox table").into())
        }
    }
}

/// A configuration with a layout that stands for the table's own until the catalogs are read.
pub(super) struct Assumed {
    pub(super) config: Resolved,
    pub(super) layout: Option<TableLayout>,
    /// Only the database knows the table's name.
    pub(super) has_no_name: bool,
}

impl Assumed {
    /// Assumes columns of the types that suit the router's options. A table that only the database knows, because the list is
    /// an expression, gets a name.
    pub(super) fn of(config: &Resolved, table: Option<&(Identifier, Identifier)>) -> Self {
        if let Some((schema, table)) = table.cloned().or_else(|| known_table(config)) {
            return Self { layout: assumed_layout(config, schema, table), config: config.clone(), has_no_name: false };
        }
        let names = Identifier::new("public").ok().zip(Identifier::new("outbox").ok());
        let layout = names.and_then(|(schema, table)| assumed_layout(config, schema, table));
        // Whether a predicate or a list of schemas concerns the table is unknown as well.
        let predicate = format!("transforms.{}.predicate", router_of(config));
        let is_list = config.get(LIST).is_some_and(|list| !list.is_empty());
        let config = if is_list {
            config.with(LIST, "public.outbox").with("schema.include.list", "public").with(&predicate, "")
        } else {
            config.clone()
        };
        Self { config, layout, has_no_name: is_list }
    }
}

/// Returns the table of a list that is the name of one table, with or without an escaped dot, or an expression that matches the
/// table that outbox-pg creates.
fn known_table(config: &Resolved) -> Option<(Identifier, Identifier)> {
    let recommended = TableLayout::recommended();
    let (schema, table) = (recommended.schema(), recommended.table());
    if config.get(LIST).is_some()
        && config.for_pipeline().includes_table(schema.as_str(), table.as_str()).is_ok_and(|is_included| is_included)
    {
        return Some((schema.clone(), table.clone()));
    }
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
