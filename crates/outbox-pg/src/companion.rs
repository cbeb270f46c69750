use outbox_core::{Identifier, TableLayout};

/// Returns the name of what stands next to the outbox table, quoted, within PostgreSQL's limit of 63 bytes.
pub(crate) fn companion(layout: &TableLayout, suffix: &str) -> String {
    format!("{}.{}", layout.schema(), quoted(&companion_name(layout, suffix)))
}

/// Returns the name as [`companion`] does, without schema and quotes.
pub(crate) fn companion_name(layout: &TableLayout, suffix: &str) -> String {
    let mut name = layout.table().as_str().to_owned();
    while name.len() + suffix.len() > 63 {
        name.pop();
    }
    name + suffix
}

/// Quotes a name that PostgreSQL gave.
pub(crate) fn quoted(name: &str) -> String {
    Identifier::new(name).map_or_else(|_| format!("\"{}\"", name.replace('"', "\"\"")), |name| name.to_string())
}
