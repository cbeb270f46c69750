use outbox_core::Pipeline;
use outbox_wal::{ConnectOptions, PublicationCatalog, Source, TableName};

use crate::settings::RelaySettings;
use crate::tables::{Candidates, Included};

/// Which tables the configuration includes, and which of them the router sees.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Over a table with assumed columns.
    pub(super) pipeline: Pipeline,
    pub(super) included: Included,
    pub(super) candidates: Candidates,
    /// The only table that the configuration names, if it does.
    named: Option<TableName>,
}

impl Scope {
    pub(super) fn of(settings: &RelaySettings) -> Self {
        Self {
            pipeline: settings.pipeline().clone(),
            included: settings.included().clone(),
            candidates: settings.candidates(),
            named: settings.named_table().cloned(),
        }
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

    /// Returns the tables that the configuration includes now. If there is none, the one that it names is missing.
    pub(super) async fn tables(&self, catalog: &mut PublicationCatalog) -> Result<Vec<TableName>, outbox_wal::Error> {
        let tables = self.candidates.included(catalog, |table| self.included.contains(table)).await?;
        Ok(if tables.is_empty() { self.named.iter().cloned().collect() } else { tables })
    }
}
