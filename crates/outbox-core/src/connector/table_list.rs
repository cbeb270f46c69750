use super::{JavaRegex, LetterCase};

use super::ConnectorConfig;
use crate::Error;

const TABLES: &str = "table.include.list";

/// The tables that a connector's configuration includes (`table.include.list`, `table.exclude.list`,
/// `schema.include.list`, `schema.exclude.list`), as Debezium reads these lists: regular expressions for the whole
/// `schema.table`, without regard to case, separated by commas. A comma within an expression has a backslash before it.
#[derive(Clone, Debug)]
pub struct IncludedTables {
    schemas: List,
    tables: List,
}

/// The list of included names, and the list of excluded names.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) included: Option<Vec<JavaRegex>>,
    excluded: Vec<JavaRegex>,
}

impl List {
    pub(super) fn of(config: &ConnectorConfig, what: &str) -> Result<Self, Error> {
        let included = regexes(config, &format!("{what}.include.list"))?;
        let excluded = regexes(config, &format!("{what}.exclude.list"))?;
        Ok(Self { included, excluded: excluded.unwrap_or_default() })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.includes(name) && !excludes(&self.excluded, name)
    }

    /// Returns whether the including list names it, or is absent.
    pub(super) fn includes(&self, name: &str) -> bool {
        self.included.as_ref().is_none_or(|regexes| includes(regexes, name))
    }
}

impl IncludedTables {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        let tables = List::of(config, "table")?;
        if tables.included.is_none() {
            return Err(Error::config(TABLES, "", "without it the rows of every table are taken for events"));
        }
        Ok(Self { schemas: List::of(config, "schema")?, tables })
    }

    /// Returns the key whose list leaves out a table, if one does.
    pub(crate) fn left_out_by(&self, schema: &str, table: &str) -> Option<&'static str> {
        let name = format!("{schema}.{table}");
        let is_named = self.tables.included.as_ref().is_none_or(|regexes| includes(regexes, &name));
        match () {
            () if !is_named => Some(TABLES),
            () if excludes(&self.tables.excluded, &name) => Some("table.exclude.list"),
            () if excludes(&self.schemas.excluded, schema) => Some("schema.exclude.list"),
            () if !self.schemas.contains(schema) => Some("schema.include.list"),
            () => None,
        }
    }

    /// Returns whether the connector reads a table.
    #[must_use]
    pub fn contains(&self, schema: &str, table: &str) -> bool {
        self.left_out_by(schema, table).is_none()
    }
}

impl ConnectorConfig {
    /// Reads which tables the configuration includes.
    ///
    /// # Errors
    /// Fails if there is no `table.include.list`, or an expression of a list cannot be used here.
    pub fn included_tables(&self) -> Result<IncludedTables, Error> {
        IncludedTables::of(self)
    }

    /// Returns whether the list of a key has an expression for a whole name, read as [`IncludedTables`] reads its
    /// lists; `None` if there is no list.
    ///
    /// # Errors
    /// Fails if an expression of the list cannot be used here.
    pub fn list_names(&self, key: &str, name: &str) -> Result<Option<bool>, Error> {
        Ok(regexes(self, key)?.map(|regexes| includes(&regexes, name)))
    }
}

/// Returns whether an expression names the name. If matching takes too long, the table counts as included.
fn includes(regexes: &[JavaRegex], name: &str) -> bool {
    regexes.iter().any(|regex| regex.matches(name).unwrap_or(true))
}

fn excludes(regexes: &[JavaRegex], name: &str) -> bool {
    regexes.iter().any(|regex| regex.matches(name).unwrap_or(false))
}

fn regexes(config: &ConnectorConfig, key: &str) -> Result<Option<Vec<JavaRegex>>, Error> {
    let Some(list) = config.trimmed(key).filter(|list| !list.is_empty()) else { return Ok(None) };
    let regex = |pattern: String| {
        JavaRegex::with_case(&pattern, LetterCase::Ignored).map_err(|error| Error::config(key, list, error.to_string()))
    };
    patterns(list).into_iter().map(regex).collect::<Result<_, _>>().map(Some)
}

/// Splits a list as Debezium's `RegExSplitter` does: a backslash escapes the character after it, and is removed before
/// a comma.
fn patterns(list: &str) -> Vec<String> {
    let mut patterns = vec![String::new()];
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match (c, patterns.last_mut()) {
            (',', _) => patterns.push(String::new()),
            ('\\', Some(pattern)) => match chars.next() {
                Some(',') => pattern.push(','),
                escaped => pattern.extend(['\\'].into_iter().chain(escaped)),
            },
            (_, Some(pattern)) => pattern.push(c),
            (_, None) => {}
        }
    }

    let trimmed = patterns.iter().map(|pattern| pattern.trim().to_owned());
    trimmed.filter(|pattern| !pattern.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn includes(list: &str, table: &str) -> bool {
        let config = ConnectorConfig { entries: vec![(TABLES.to_owned(), list.to_owned())] };
        config.included_tables().unwrap().contains("public", table)
    }

    #[test]
    fn a_list_names_tables_as_debezium_reads_it() {
        for list in [
            "public.outbox",
            " public.other , public.outbox ,",
            "public\\.outbox",
            "PUBLIC.OutBox",
            "^public\\.outbox$",
            "(public|private)\\.outbox",
            "public[.]out.*",
            "public\\.o[a-z]{1\\,9}",
            "public\\.(?!audit).*",
            "(?<!x)\\Qpublic.\\E\\p{Lower}++",
        ] {
            assert!(includes(list, "outbox"), "{list}");
        }
        assert!(includes("public.outbox", "Outbox"));
        for list in [
            "outbox",
            "public.outbo",
            "ublic.outbox",
            "public.outbox_events",
            "\"public\".\"outbox\"",
            ",",
            "public\\.(?!out).*",
        ] {
            assert!(!includes(list, "outbox"), "{list}");
        }
    }

    #[track_caller]
    fn included(entries: &[(&str, &str)]) -> IncludedTables {
        let entries = entries.iter().map(|(key, list)| ((*key).to_owned(), (*list).to_owned())).collect();
        IncludedTables::of(&ConnectorConfig { entries }).unwrap()
    }

    #[test]
    fn the_lists_of_schemas_and_the_excluding_ones_restrict_the_list_of_tables() {
        let tables = included(&[(TABLES, ".*\\.outbox"), ("schema.include.list", "shop,Billing")]);
        assert!(tables.contains("shop", "outbox") && tables.contains("billing", "outbox"));
        assert_eq!(tables.left_out_by("public", "outbox"), Some("schema.include.list"));
        assert_eq!(tables.left_out_by("shop", "other"), Some(TABLES));

        let tables = included(&[
            (TABLES, ".*"),
            ("table.exclude.list", "shop\\.old_.*, shop.LOG"),
            ("schema.exclude.list", "audit"),
        ]);
        assert!(tables.contains("shop", "outbox"));
        assert_eq!(tables.left_out_by("shop", "old_outbox"), Some("table.exclude.list"));
        assert_eq!(tables.left_out_by("shop", "log"), Some("table.exclude.list"));
        assert_eq!(tables.left_out_by("audit", "outbox"), Some("schema.exclude.list"));
    }

    #[test]
    fn a_list_names_names() {
        let config = ConnectorConfig { entries: vec![("a".to_owned(), "x\\.y, Z".to_owned())] };
        assert_eq!(config.list_names("a", "x.y").unwrap(), Some(true));
        assert_eq!(config.list_names("a", "z").unwrap(), Some(true));
        assert_eq!(config.list_names("a", "xay").unwrap(), Some(false));
        assert_eq!(config.list_names("b", "x.y").unwrap(), None);
    }
}
