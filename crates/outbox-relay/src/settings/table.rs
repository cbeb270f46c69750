use outbox_core::{Column, ColumnType, EventField, Identifier, Nullability, TableLayout};

use super::builder::RelaySettingsBuilder;
use super::finding::{Finding, Findings};
use super::placeholders::Process;
use super::postgres::PostgresSettings;
use super::predicates::RouterPredicate;
use super::resolved::Resolved;
use super::{SettingsError, router_of};
use crate::relay::connect_options;
use crate::rows::layout_columns;
use crate::tables::Candidates;
use outbox_wal::{ConnectOptions, PublicationCatalog, Source, TableName};

const LIST: &str = "table.include.list";

impl RelaySettingsBuilder {
    /// Returns whether `table.include.list` names another table than that of the layout, or is absent: the columns must then
    /// be read from the database.
    #[must_use]
    pub fn needs_layout(&self) -> bool {
        let (schema, table) = (self.table().schema().as_str(), self.table().table().as_str());
        // Without a list, only the publication says which table it is.
        let is_listed = self.config().get(LIST).is_some_and(|list| !list.trim().is_empty());
        !is_listed || self.config().includes_table(schema, table).is_ok_and(|is_included| !is_included)
    }

    /// Reads the outbox table's columns from the database, where it is a table of another make: `table.include.list` names
    /// it, and the router's options say what is in which column. The event's type is in the column that
    /// `table.field.event.type` names, else in `type` or `event_type`. Columns of types that no record can have are left
    /// out.
    ///
    /// # Errors
    /// The database cannot be reached, there is no included table, or a part of an event has no column.
    pub async fn layout_from_database(self) -> Result<Self, SettingsError> {
        let findings = || Findings::of(self.config().clone());
        // Everything that needs no database is reported first, and at once.
        self.clone().checked(&Process, findings()).into_result()?;
        let mut findings = findings();
        let config = Resolved::of(self.config().clone(), &Process, &mut findings);
        let password = self.postgres_password_source();
        let Some(postgres) = PostgresSettings::new(&config, password, &Process, &mut findings) else {
            return Err(findings.into_error());
        };

        let options = connect_options(&postgres).choose_server().await;
        let options = options.map_err(|e| SettingsError::table(LIST.to_owned()).caused_by(e))?;
        // The first table that can be an outbox table. The relay finds the others by itself.
        let mut unfit = None;
        for table in included_tables(&options, &config).await? {
            match layout_of(&options, &config, &table).await {
                Ok(layout) => return Ok(self.layout(layout)),
                Err(error) => _ = unfit.get_or_insert(error),
            }
        }
        Err(unfit.unwrap_or_else(|| Finding::new(LIST, "there is no such table, or this role may not see it").into()))
    }
}

async fn layout_of(
    options: &ConnectOptions,
    config: &Resolved,
    name: &TableName,
) -> Result<TableLayout, SettingsError> {
    let identifier = |text: &str| Identifier::new(text).ok();
    let Some((schema, table)) = identifier(&name.schema).zip(identifier(&name.table)) else {
        return Err(Finding::new(LIST, "the table has no usable name").into());
    };
    let unread = || SettingsError::table(name.to_string());
    let columns = outbox_wal::columns(options, &name.schema, &name.table).await.map_err(|e| unread().caused_by(e))?;
    TableLayout::existing(schema, table, layout_columns(&config.for_pipeline(), &columns))
        .map_err(|e| unread().caused_by(e))
}

/// Returns the tables that the configuration includes, as far as the router sees their rows.
async fn included_tables(options: &ConnectOptions, config: &Resolved) -> Result<Vec<TableName>, SettingsError> {
    let written = config.for_pipeline();
    let name = |key: &str, default: &str| config.get(key).unwrap_or(default).to_owned();
    let source = Source::new(name("slot.name", "debezium"), name("publication.name", "dbz_publication"));
    let predicate = RouterPredicate::of(config, router_of(config)).map_err(SettingsError::from)?;
    // An expression that cannot be used was rejected before.
    let includes = |name: &TableName| written.includes_table(&name.schema, &name.table).unwrap_or(false);
    let found = async {
        let mut catalog = PublicationCatalog::open(options, &source).await?;
        config.candidates().included(&mut catalog, includes).await
    };
    let found = found.await.map_err(|e| SettingsError::table(LIST.to_owned()).caused_by(e))?;
    Ok(found.into_iter().filter(|name| predicate.lets_through(name)).collect())
}

/// A configuration with a layout that stands for the table's own where there is no database.
pub(super) struct Assumed {
    pub(super) config: Resolved,
    pub(super) layout: Option<TableLayout>,
}

impl Assumed {
    /// Assumes columns of the types that suit the router's options. A table that only the database knows, because the list
    /// is an expression or absent, gets a name.
    pub(super) fn of(config: &Resolved) -> Self {
        if let Some((schema, table)) = literal(config) {
            return Self { layout: assumed_layout(config, schema, table), config: config.clone() };
        }
        let names = Identifier::new("public").ok().zip(Identifier::new("outbox").ok());
        let layout = names.and_then(|(schema, table)| assumed_layout(config, schema, table));
        // Whether a predicate or another list concerns the table is unknown as well.
        let predicate = format!("transforms.{}.predicate", router_of(config));
        let unknown = ["schema.include.list", "schema.exclude.list", "table.exclude.list", &*predicate];
        let config = unknown.iter().fold(config.clone(), |config, key| config.with(key, ""));
        let config = match config.candidates() {
            Candidates::Database => config.with(LIST, "public.outbox"),
            Candidates::Publication => config,
        };
        Self { config, layout }
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
