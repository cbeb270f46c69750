use outbox_core::{Column, ColumnType, EventField, Identifier, Nullability, TableLayout};

use super::builder::RelaySettingsBuilder;
use super::placeholders::Process;
use super::postgres::PostgresSettings;
use super::resolved::Resolved;
use super::{SettingsError, router_of};
use crate::relay::connect_options;
use crate::rows::column_type;
use outbox_wal::CatalogueColumn;

const LIST: &str = "table.include.list";

impl RelaySettingsBuilder {
    /// Reads the outbox table's columns from the database, where it is a table of another make: `table.include.list` names
    /// it, and the router's options say what is in which column. The event's type is in the column that
    /// `table.field.event.type` names, else in `type` or `event_type`. Columns of types that no record can have are left
    /// out.
    ///
    /// # Errors
    /// The database cannot be reached, the list names no single table, or a part of an event has no column.
    pub async fn layout_from_database(self) -> Result<Self, SettingsError> {
        let config = Resolved::of(self.config().clone(), &Process)?;
        let (schema, table) = table(&config)?;
        let unread = || SettingsError::table(format!("{schema}.{table}"));
        let options = connect_options(&PostgresSettings::new(&config, self.postgres_password_source(), &Process)?);
        let columns =
            outbox_wal::columns(&options, schema.as_str(), table.as_str()).await.map_err(|e| unread().caused_by(e))?;
        if columns.is_empty() {
            return Err(config.refused(LIST, "there is no such table, or this role may not see it"));
        }
        let columns = layout_columns(&config, &columns);
        let layout = TableLayout::new(schema, table, columns).map_err(SettingsError::pipeline)?;
        Ok(self.layout(layout))
    }
}

/// The one table that the list names.
fn table(config: &Resolved) -> Result<(Identifier, Identifier), SettingsError> {
    let list = config.get(LIST).unwrap_or_default();
    let is_one = !list.contains([',', '*', '+', '?', '(', '[', '{', '|', '^', '$']);
    let names = list.split_once('.').filter(|_| is_one);
    let name = |text: &str| Identifier::new(text.trim_end_matches('\\').replace('\\', "")).ok();
    names.and_then(|(schema, table)| name(schema).zip(name(table))).ok_or_else(|| {
        config.refused(LIST, "the columns are read of one table, written schema.table without an expression")
    })
}

fn layout_columns(config: &Resolved, columns: &[CatalogueColumn]) -> Vec<Column> {
    let router = router_of(config);
    let option =
        |name: &str, default: &str| config.get(&format!("transforms.{router}.{name}")).unwrap_or(default).to_owned();
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let event_type = option("table.field.event.type", "type");
    let event_type = if has(&event_type) { event_type } else { "event_type".to_owned() };
    let fields = [
        (EventField::Id, option("table.field.event.id", "id")),
        (EventField::AggregateId, option("table.field.event.key", "aggregateid")),
        (EventField::AggregateType, option("route.by.field", "aggregatetype")),
        (EventField::Payload, option("table.field.event.payload", "payload")),
        (EventField::EventType, event_type),
    ];
    let column = |told: &CatalogueColumn| {
        let name = Identifier::new(&*told.name).ok()?;
        let ty: ColumnType = column_type(told.ty, told.modifier)?;
        let nullability = if told.is_nullable { Nullability::Nullable } else { Nullability::NotNull };
        let column = match fields.iter().find(|(_, name)| *name == told.name) {
            Some((field, _)) => Column::of(*field, name, ty, nullability),
            None => Column::foreign(name, ty, nullability),
        };
        Some(match &told.default {
            Some(expression) => column.default_expression(expression),
            None => column,
        })
    };
    columns.iter().filter_map(column).collect()
}
