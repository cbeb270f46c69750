use std::fmt;

use crate::Error;

/// The name of a schema, table, column, publication or slot in PostgreSQL: 1 to 63 bytes without NUL or other
/// control characters. `Display` quotes it for SQL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(Box<str>);

impl Identifier {
    /// Checks a name.
    ///
    /// # Errors
    /// PostgreSQL would refuse or cut the name.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
            return Err(Error::rule(
                "identifier",
                &name,
                "a name in PostgreSQL has 1 to 63 bytes without control characters",
            ));
        }
        Ok(Self(name.into_boxed_str()))
    }

    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.into())
    }

    /// Returns the name as it is, not quoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_sql() {
        assert_eq!(Identifier::new("a\"; DROP TABLE x; --").unwrap().to_string(), "\"a\"\"; DROP TABLE x; --\"");
        for bad in ["", "a\0b", &"x".repeat(64)] {
            assert!(Identifier::new(bad).is_err());
        }
    }
}
