use regex_lite::{Regex, RegexBuilder};

use crate::{ConnectorConfig, Error, TableLayout};

/// The tables that a connector's configuration includes.
#[derive(Clone, Debug)]
pub(super) struct IncludedTables {
    schemas: Option<Vec<Regex>>,
    tables: Vec<Regex>,
}

const TABLES: &str = "table.include.list";
const SCHEMAS: &str = "schema.include.list";

impl IncludedTables {
    /// Reads the lists. The layout's table must be among the included tables.
    pub(super) fn new(config: &ConnectorConfig, layout: &TableLayout) -> Result<Self, Error> {
        let Some(tables) = patterns(config, TABLES)? else {
            return Err(Error::config(TABLES, "", "without it the rows of every table are taken for events"));
        };
        let (schema, table) = (layout.schema().as_str(), layout.table().as_str());
        let included = Self { schemas: None, tables };
        if !included.contains(schema, table) {
            let list = config.trimmed(TABLES).unwrap_or_default();
            return Err(Error::config(TABLES, list, format!("it leaves out the table {schema}.{table} of the layout")));
        }
        Ok(Self { schemas: patterns(config, SCHEMAS)?, ..included })
    }

    pub(super) fn contains(&self, schema: &str, table: &str) -> bool {
        let has_schema = self.schemas.as_ref().is_none_or(|schemas| schemas.iter().any(|regex| regex.is_match(schema)));
        has_schema && self.tables.iter().any(|regex| regex.is_match(&format!("{schema}.{table}")))
    }
}

/// Debezium compares the whole name without regard to case.
fn patterns(config: &ConnectorConfig, key: &str) -> Result<Option<Vec<Regex>>, Error> {
    let Some(list) = config.trimmed(key) else { return Ok(None) };
    let regex = |pattern: &str| {
        RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
            .case_insensitive(true)
            .build()
            .map_err(|e| Error::config(key, list, "this regular expression cannot be used here").caused_by(e))
    };
    list.split(',').map(str::trim).map(regex).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(tables: &str, schemas: Option<&str>) -> IncludedTables {
        let layout = TableLayout::recommended();
        let config = ConnectorConfig::recommended(&layout).with(TABLES, tables);
        let config = schemas.into_iter().fold(config, |config, list| config.with(SCHEMAS, list));
        IncludedTables::new(&config, &layout).unwrap()
    }

    #[test]
    fn a_list_includes_what_its_patterns_match_as_a_whole() {
        let both = included(r"outbox\.outbox_message, (billing|shop)\.outbox_.*", None);
        assert!(both.contains("outbox", "outbox_message") && both.contains("Billing", "OUTBOX_1"));
        assert!(!both.contains("outbox", "outbox_message2") && !both.contains("my_billing", "outbox_1"));
        let one_schema = included(r".*\.outbox_message", Some("outbox"));
        assert!(one_schema.contains("outbox", "outbox_message") && !one_schema.contains("billing", "outbox_message"));
    }
}
