use outbox_core::{Column, ColumnType, ConnectorConfig, Error, Identifier, Loss, Nullability, Pipeline, TableLayout};
use outbox_wal::{CatalogueColumn, CatalogueTable, RelationColumn, TableName};

/// The losses of a configuration that the relay accepts, as Debezium does.
pub(crate) const ACCEPTED_LOSSES: [Loss; 2] = [Loss::JsonExpansion, Loss::NullableColumns];

/// Returns the pipeline of a configuration over a table as the catalogs have it.
pub(crate) fn as_in_catalog(
    config: &ConnectorConfig,
    name: &TableName,
    table: &CatalogueTable,
) -> Result<Pipeline, Error> {
    let columns = table.columns.iter().map(|column| (column.name.as_str(), type_of(table, column)));
    over(config, name, table, columns)
}

/// Returns the pipeline over a table as it was when its rows were written: the names and types are those of then, the rest
/// is as the catalogs have it now, as in Debezium.
pub(super) fn as_described(
    config: &ConnectorConfig,
    name: &TableName,
    table: &CatalogueTable,
    described: &[RelationColumn<'_>],
) -> Result<Pipeline, Error> {
    let columns = described.iter().map(|column| {
        let (base, modifier) = table.types.base(column.ty, column.modifier);
        let is_text =
            |known: &CatalogueColumn| matches!(type_of(table, known), ColumnType::Text | ColumnType::Varchar(_));
        let ty = match ColumnType::from_oid(base, modifier) {
            // An enum that was replaced by text, and dropped. OIDs below are the server's own.
            ColumnType::Other(16_384..) if known(table, column.name).is_some_and(is_text) => ColumnType::Text,
            // Each value is of the length that was allowed then.
            ColumnType::Varchar(_) => ColumnType::Text,
            ty => ty,
        };
        (column.name, ty)
    });
    over(config, name, table, columns)
}

fn over<'a>(
    config: &ConnectorConfig,
    name: &TableName,
    table: &CatalogueTable,
    columns: impl Iterator<Item = (&'a str, ColumnType)>,
) -> Result<Pipeline, Error> {
    let columns = columns.filter_map(|(name, ty)| Some(column(Identifier::new(name).ok()?, ty, known(table, name))));
    let (schema, name) = (Identifier::new(&*name.schema)?, Identifier::new(&*name.table)?);
    let layout = TableLayout::of_router(config, schema, name, columns)?;
    Pipeline::accepting(&ACCEPTED_LOSSES, config.clone(), layout)
}

fn column(name: Identifier, ty: ColumnType, known: Option<&CatalogueColumn>) -> Column {
    let is_nullable = known.is_none_or(|known| known.is_nullable);
    let nullability = if is_nullable { Nullability::Nullable } else { Nullability::NotNull };
    let column = Column::foreign(name, ty, nullability);
    match known.and_then(|known| known.default.as_deref()) {
        Some(expression) => column.default_expression(expression),
        None => column,
    }
}

fn known<'a>(table: &'a CatalogueTable, name: &str) -> Option<&'a CatalogueColumn> {
    table.columns.iter().find(|column| column.name == name)
}

fn type_of(table: &CatalogueTable, column: &CatalogueColumn) -> ColumnType {
    let (base, modifier) = table.types.base(column.ty, column.modifier);
    ColumnType::from_oid(base, modifier)
}
