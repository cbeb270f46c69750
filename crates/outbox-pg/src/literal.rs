/// Quotes text as an SQL literal (PostgreSQL, "String Constants", with `standard_conforming_strings` on).
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
