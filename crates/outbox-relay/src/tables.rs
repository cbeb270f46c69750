//! The outbox tables that a configuration includes.

use outbox_core::connector::{IncludedMessages, IncludedTables, RowDisposition};
use outbox_core::record::MessageReader;
use outbox_core::{ConnectorConfig, Loss};

use outbox_wal::{FoundTable, PublicationCatalog, Source, TableName};

/// The losses of a configuration that the relay accepts, as Debezium does.
pub const ACCEPTED_LOSSES: [Loss; 3] = [Loss::JsonExpansion, Loss::NullableColumns, Loss::UnreadableRecords];

/// Reads a configuration's tables that it includes, and those of them whose rows a router sees.
#[derive(Clone, Debug)]
pub struct Included {
    config: ConnectorConfig,
    tables: IncludedTables,
    messages: Option<(MessageReader, IncludedMessages)>,
}

impl Included {
    /// Fails if a list has an expression that cannot be used.
    pub fn new(config: ConnectorConfig) -> Result<Self, outbox_core::Error> {
        let messages = match MessageReader::from_config(&config) {
            // Transformations that are not modelled are reported when the messages' pipeline is created.
            Err(_) | Ok(None) => None,
            Ok(Some(reader)) => Some((reader, config.included_messages()?)),
        };
        Ok(Self { tables: config.included_tables()?, messages, config })
    }

    /// Returns the reader of logical decoding messages, and which of them the configuration includes; `None` if it
    /// includes none.
    pub fn messages(&self) -> Option<&(MessageReader, IncludedMessages)> {
        self.messages.as_ref()
    }

    /// Returns the source of the slot and the publication, with messages if the configuration includes some.
    pub fn source(&self, slot: &str, publication: &str) -> Source {
        let source = Source::new(slot, publication);
        if self.messages.is_some() { source.with_messages() } else { source }
    }

    pub fn config(&self) -> &ConnectorConfig {
        &self.config
    }

    /// Returns whether the configuration includes a table, whose rows no `Filter` drops.
    pub fn contains(&self, table: &TableName) -> bool {
        self.tables.contains(&table.schema, &table.table) && self.disposition(table) != RowDisposition::Filtered
    }

    /// Returns whether a router sees the rows of a table.
    pub fn routes(&self, table: &TableName) -> bool {
        self.disposition(table) == RowDisposition::Routed
    }

    /// Returns whether the records of a table are made of a column.
    pub fn uses(&self, table: &TableName, column: &str) -> bool {
        self.config.uses_column((&table.schema, &table.table), column)
    }

    /// Returns the result of the transformations for a table's rows. Transformations that are not modelled are reported
    /// when the table's pipeline is created.
    fn disposition(&self, table: &TableName) -> RowDisposition {
        self.config.disposition(&table.schema, &table.table).unwrap_or(RowDisposition::Routed)
    }
}

/// The tables that the lists of a configuration choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// Those of the database: `table.include.list` names tables.
    Database,
    /// Those of the publication: without that list, the publication alone decides.
    Publication,
}

impl Candidates {
    /// Reads the names of the included tables. A partition is a part of its table, if that is included and a router
    /// sees its rows.
    pub async fn included(
        self,
        catalog: &mut PublicationCatalog,
        tables: &Included,
    ) -> Result<Vec<TableName>, outbox_wal::Error> {
        let includes = |table: &TableName| tables.contains(table);
        Ok(match self {
            Self::Database => included(&catalog.all_tables().await?, includes, |table| tables.routes(table)),
            Self::Publication => catalog.members().await?.into_iter().filter(includes).collect(),
        })
    }
}

fn included(
    tables: &[FoundTable],
    includes: impl Fn(&TableName) -> bool,
    routes: impl Fn(&TableName) -> bool,
) -> Vec<TableName> {
    let parent = |name: &TableName| tables.iter().find(|table| table.name == *name)?.parent.as_ref();
    let is_part = |table: &FoundTable| {
        let mut above = table.parent.as_ref();
        while let Some(name) = above {
            if includes(name) && routes(name) {
                return true;
            }
            above = parent(name);
        }
        false
    };
    let included = tables.iter().filter(|table| includes(&table.name) && !is_part(table));
    included.map(|table| table.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str) -> TableName {
        TableName::from(("public".to_owned(), table.to_owned()))
    }

    #[test]
    fn a_partition_of_an_included_table_is_none_by_itself() {
        let table = |table, parent: Option<&str>| FoundTable { name: name(table), parent: parent.map(name) };
        let tables = [
            table("outbox", None),
            table("outbox_1", Some("outbox")),
            table("outbox_1_1", Some("outbox_1")),
            table("other", None),
            table("other_outbox", Some("other")),
        ];
        let includes = |name: &TableName| name.table.contains("outbox");
        assert_eq!(included(&tables, includes, |_| true), [name("outbox"), name("other_outbox")]);
        let routes = |name: &TableName| name.table != "outbox";
        assert_eq!(included(&tables, includes, routes), [name("outbox"), name("outbox_1"), name("other_outbox")]);
    }
}
