use outbox_core::Pipeline;
use outbox_wal::{ConnectOptions, PublicationCatalog, Source, TableName};

use crate::settings::{RelaySettings, RouterPredicate};
use crate::tables::Candidates;

/// Which tables the configuration includes, and which of them the router sees.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) pipeline: Pipeline,
    predicate: RouterPredicate,
    candidates: Candidates,
}

impl Scope {
    pub(super) fn of(settings: &RelaySettings) -> Self {
        Self {
            pipeline: settings.pipeline().clone(),
            predicate: settings.predicate().clone(),
            candidates: settings.candidates(),
        }
    }

    pub(super) fn includes(&self, table: &TableName) -> bool {
        self.pipeline.includes_table(&table.schema, &table.table)
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

    /// Watches the tables that the configuration includes now.
    pub(super) async fn watch(&self, catalog: &mut PublicationCatalog) -> Result<(), outbox_wal::Error> {
        let tables = self.tables(catalog).await?;
        catalog.watch(tables);
        Ok(())
    }

    /// Returns the tables that the configuration includes now. The table of the settings is among them in any case.
    pub(super) async fn tables(&self, catalog: &mut PublicationCatalog) -> Result<Vec<TableName>, outbox_wal::Error> {
        let layout = self.pipeline.layout();
        let own = TableName::from((layout.schema().as_str().to_owned(), layout.table().as_str().to_owned()));
        let mut tables = self.candidates.included(catalog, |table| self.includes(table)).await?;
        tables.retain(|table| *table != own);
        tables.insert(0, own);
        Ok(tables)
    }
}
