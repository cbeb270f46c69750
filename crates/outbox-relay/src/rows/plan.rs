use outbox_core::{Column, ConnectorConfig, Error, EventField, Identifier, Loss, Nullability, Pipeline, TableLayout};
use outbox_wal::{CatalogueColumn, RelationColumn, TableName};

use super::binding::column_type;

/// The losses of a configuration that the relay accepts, as Debezium does.
pub(crate) const ACCEPTED_LOSSES: [Loss; 2] = [Loss::JsonExpansion, Loss::NullableColumns];

/// Returns the pipeline of the same configuration over another table.
pub(crate) fn over(pipeline: &Pipeline, name: &TableName, columns: &[CatalogueColumn]) -> Result<Pipeline, Error> {
    let (schema, table) = (Identifier::new(&*name.schema)?, Identifier::new(&*name.table)?);
    let config = pipeline.config();
    let layout = TableLayout::existing(schema, table, layout_columns(config, columns))?;
    Pipeline::accepting(&ACCEPTED_LOSSES, config.clone(), layout)
}

/// Returns the pipeline over a table that the catalogs do not have any more, as the WAL describes it.
pub(super) fn as_described(
    pipeline: &Pipeline,
    name: &TableName,
    described: &[RelationColumn<'_>],
) -> Result<Pipeline, Error> {
    let column = |column: &RelationColumn<'_>| CatalogueColumn {
        name: column.name.to_owned(),
        ty: column.ty,
        modifier: column.modifier,
        is_nullable: true,
        default: None,
    };
    over(pipeline, name, &described.iter().map(column).collect::<Vec<_>>())
}

/// Returns the columns of a table, with what the router's options say is in which.
pub(crate) fn layout_columns(config: &ConnectorConfig, columns: &[CatalogueColumn]) -> Vec<Column> {
    let names = config.get("transforms").unwrap_or_default().split(',').map(str::trim);
    let is_router = |name: &&str| {
        let class = config.get(&format!("transforms.{name}.type"));
        class.is_some_and(|class| class.trim().ends_with(".outbox.EventRouter"))
    };
    let router = names.clone().find(is_router).unwrap_or_default();
    let option = |option: &str, default: &str| {
        config.get(&format!("transforms.{router}.{option}")).map_or(default, str::trim).to_owned()
    };
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let event_type = option("table.field.event.type", "type");
    let event_type = if has(&event_type) { event_type } else { "event_type".to_owned() };
    // A column may serve several options. The first counts, because the router finds columns by name.
    let fields = [
        (EventField::Id, option("table.field.event.id", "id")),
        (EventField::Payload, option("table.field.event.payload", "payload")),
        (EventField::AggregateId, option("table.field.event.key", "aggregateid")),
        (EventField::AggregateType, option("route.by.field", "aggregatetype")),
        (EventField::EventType, event_type),
    ];
    let column = |told: &CatalogueColumn| {
        let name = Identifier::new(&*told.name).ok()?;
        let ty = column_type(told.ty, told.modifier)?;
        let nullability = if told.is_nullable { Nullability::Nullable } else { Nullability::NotNull };
        let field = fields.iter().find(|(_, name)| *name == told.name).map(|(field, _)| *field);
        let column = match field.filter(|field| field.fits(ty)) {
            Some(field) => Column::of(field, name, ty, nullability),
            None => Column::foreign(name, ty, nullability),
        };
        Some(match &told.default {
            Some(expression) => column.default_expression(expression),
            None => column,
        })
    };
    columns.iter().filter_map(column).collect()
}
