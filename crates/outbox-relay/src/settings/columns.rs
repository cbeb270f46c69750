use super::Finding;
use super::finding::Findings;
use super::resolved::Resolved;
use outbox_wal::TableName;

/// Checks that the lists of columns leave those of a table alone that records are made of. Until the table is known,
/// the lists need only be usable.
pub(super) fn check(config: &Resolved, router: &str, table: Option<&TableName>, findings: &mut Findings) {
    let lists = config.iter().map(|(key, _)| key).filter(|key| key.starts_with("column."));
    for key in lists {
        findings.take(check_list(config, key, router, table));
    }
}

fn check_list(config: &Resolved, key: &str, router: &str, table: Option<&TableName>) -> Result<(), Finding> {
    let carries_schemas = ["key", "value", "header"].into_iter().any(|part| config.writes_schemas(part));
    let changed = match key {
        // It adds parameters to schemas.
        "column.propagate.source.type" if !carries_schemas => return Ok(()),
        "column.propagate.source.type" => "changes the schema, which records carry, of",
        "column.include.list" => "leaves out",
        "column.exclude.list" => "leaves out",
        _ => "changes",
    };

    let Some(table) = table else { return config.list_names(key, "").map(|_| ()) };
    let is_inclusive = key == "column.include.list";

    for column in used(config, router) {
        match config.list_names(key, &format!("{table}.{column}"))? {
            Some(is_named) if is_named != is_inclusive => {
                return Err(Finding::new(key, format!("it {changed} the column {column}, which records are made of")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the columns that the router's options name.
pub(super) fn used(config: &Resolved, router: &str) -> Vec<String> {
    let option = |option: &str| config.get(&format!("transforms.{router}.{option}"));
    let required = [
        ("table.field.event.id", "id"),
        ("table.field.event.key", "aggregateid"),
        ("table.field.event.payload", "payload"),
        ("route.by.field", "aggregatetype"),
    ];
    let required = required.map(|(name, default)| option(name).unwrap_or(default));
    let optional = ["table.field.event.timestamp", "table.field.event.schema.version"].map(option);
    let placed = option("table.fields.additional.placement").unwrap_or_default().split(',');
    let placed = placed.filter_map(|item| item.split(':').next().map(str::trim));
    let names = required.into_iter().chain(optional.into_iter().flatten()).chain(placed);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
