use outbox_core::Identifier;

/// Text as a literal (PostgreSQL, "String Constants", with `standard_conforming_strings` on).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The value of pgoutput's option `publication_names`: a list of identifiers, in a literal.
pub(super) fn publication_names(publication: &Identifier) -> String {
    literal(&publication.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_twice() {
        let publication = Identifier::new("O'Hara \"1\", x").unwrap();
        assert_eq!(publication_names(&publication), "'\"O''Hara \"\"1\"\", x\"'");
    }
}
