/// Returns text as a literal (PostgreSQL, "String Constants", with `standard_conforming_strings` on).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the value of pgoutput's option `publication_names`: a list of identifiers, in a literal.
pub(super) fn publication_names(publication: &str) -> String {
    literal(&identifier(publication))
}

/// Quotes a name (PostgreSQL, "Identifiers and Key Words").
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_twice() {
        let publication = "O'Hara \"1\", x";
        assert_eq!(publication_names(publication), "'\"O''Hara \"\"1\"\", x\"'");
    }
}
