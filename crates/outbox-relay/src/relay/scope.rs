use outbox_core::{ConnectorConfig, Identifier, IncludedTables, TableLayout};
use outbox_wal::{ConnectOptions, PublicationCatalog, Source, TableName};

use crate::settings::{RelaySettings, RouterPredicate};
use crate::tables::Candidates;

/// Which tables the configuration includes, and which of them the router sees.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) config: ConnectorConfig,
    pub(super) included: IncludedTables,
    pub(super) predicate: RouterPredicate,
    pub(super) publication: Identifier,
    /// The columns that the router's options name.
    pub(super) assumed: TableLayout,
    candidates: Candidates,
    named: Option<TableName>,
}

impl Scope {
    pub(super) fn of(settings: &RelaySettings) -> Self {
        Self {
            config: settings.config().clone(),
            included: settings.included().clone(),
            predicate: settings.predicate().clone(),
            publication: settings.publication().clone(),
            assumed: settings.pipeline().layout().clone(),
            candidates: settings.candidates(),
            named: settings.named().cloned(),
        }
    }

    /// Returns whether the router sees the rows of a table.
    pub(super) fn routes(&self, table: &TableName) -> bool {
        self.predicate.lets_through(table)
    }

    /// Connects to the catalogs, and watches the included tables.
    pub(super) async fn open(
        &self,
        options: &ConnectOptions,
        source: &Source,
    ) -> Result<PublicationCatalog, outbox_wal::Error> {
        let mut catalog = PublicationCatalog::open(options, source).await?;
        self.watch(&mut catalog).await?;
        Ok(catalog)
    }

    /// Watches the tables that the configuration includes now, and the one that it names, whether it exists or not.
    pub(super) async fn watch(&self, catalog: &mut PublicationCatalog) -> Result<(), outbox_wal::Error> {
        let includes = |table: &TableName| self.included.contains(&table.schema, &table.table);
        let mut tables = self.candidates.included(catalog, includes).await?;
        if let Some(named) = self.named.as_ref().filter(|named| !tables.contains(named)) {
            tables.insert(0, named.clone());
        }
        catalog.watch(tables);
        Ok(())
    }
}
