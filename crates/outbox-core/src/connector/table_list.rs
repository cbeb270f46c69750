use regex_lite::{Regex, RegexBuilder};

use super::ConnectorConfig;
use crate::Error;

const TABLES: &str = "table.include.list";
const SCHEMAS: &str = "schema.include.list";

/// The tables that a connector's configuration includes, as Debezium reads its lists: regular expressions for the whole name,
/// without regard to case, separated by commas. A comma within an expression has a backslash before it.
#[derive(Clone, Debug)]
pub(crate) struct IncludedTables {
    schemas: Option<Vec<Regex>>,
    tables: Vec<Regex>,
}

impl IncludedTables {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        let tables = regexes(config, TABLES)?;
        let tables = tables
            .ok_or_else(|| Error::config(TABLES, "", "without it the rows of every table are taken for events"))?;
        Ok(Self { schemas: regexes(config, SCHEMAS)?, tables })
    }

    /// Returns whether the list of tables names a table.
    pub(crate) fn names(&self, schema: &str, table: &str) -> bool {
        let name = format!("{schema}.{table}");
        self.tables.iter().any(|regex| regex.is_match(&name))
    }

    /// Returns whether the connector reads a table.
    pub(crate) fn contains(&self, schema: &str, table: &str) -> bool {
        let has_schema = self.schemas.as_ref().is_none_or(|schemas| schemas.iter().any(|regex| regex.is_match(schema)));
        has_schema && self.names(schema, table)
    }
}

impl ConnectorConfig {
    /// Returns whether `table.include.list` names a table, as Debezium reads the list: regular expressions for the whole
    /// `schema.table`, without regard to case, separated by commas. A comma within an expression has a backslash before it.
    ///
    /// # Errors
    /// Fails if there is no list, or an expression of it cannot be used here.
    pub fn includes_table(&self, schema: &str, table: &str) -> Result<bool, Error> {
        Ok(IncludedTables::of(self)?.names(schema, table))
    }
}

fn regexes(config: &ConnectorConfig, key: &str) -> Result<Option<Vec<Regex>>, Error> {
    let Some(list) = config.trimmed(key).filter(|list| !list.is_empty()) else { return Ok(None) };
    let regex = |pattern: String| {
        RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
            .case_insensitive(true)
            .build()
            .map_err(|e| Error::config(key, list, "this regular expression cannot be used here").caused_by(e))
    };
    patterns(list).into_iter().map(regex).collect::<Result<_, _>>().map(Some)
}

/// Debezium's `RegExSplitter`: a backslash escapes whatever follows it, and is removed before a comma.
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
        config.includes_table("public", table).unwrap()
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
        ] {
            assert!(includes(list, "outbox"), "{list}");
        }
        assert!(includes("public.outbox", "Outbox"));
        for list in ["outbox", "public.outbo", "ublic.outbox", "public.outbox_events", "\"public\".\"outbox\"", ","] {
            assert!(!includes(list, "outbox"), "{list}");
        }
    }

    #[test]
    fn the_list_of_schemas_restricts_the_list_of_tables() {
        let entries = [(TABLES, ".*\\.outbox"), (SCHEMAS, "shop,Billing")];
        let entries = entries.map(|(key, list)| (key.to_owned(), list.to_owned())).to_vec();
        let included = IncludedTables::of(&ConnectorConfig { entries }).unwrap();
        assert!(included.contains("shop", "outbox") && included.contains("billing", "outbox"));
        assert!(included.names("public", "outbox") && !included.contains("public", "outbox"));
    }
}
