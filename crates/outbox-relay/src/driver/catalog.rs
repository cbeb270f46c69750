use std::collections::HashSet;

use outbox_core::{Loss, Pipeline};

use crate::error::Error;
use crate::rows::{OutboxTable, OutboxTables};
use crate::settings::RelaySettings;
use crate::tables::{Candidates, Included};
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Creation, PublicationCatalog, Published, Source, TableName};

/// Reads the tables that the router sees from the catalogs, because types, defaults and nullability are part of
/// Debezium's records.
pub async fn tables(
    catalog: &mut PublicationCatalog,
    published: &Published,
    scope: &Scope,
    gone: &HashSet<u32>,
) -> Result<OutboxTables, outbox_wal::Error> {
    let types = catalog.types().await?;
    let mut known = Vec::new();
    for table in published.tables.iter().filter(|table| scope.included.routes(&table.name)) {
        let columns = catalog.columns(&table.name).await?;
        let oids = table.oid.into_iter().chain(table.partitions.iter().copied()).collect();
        known.push(OutboxTable { name: table.name.clone(), oids, columns });
    }
    Ok(OutboxTables { included: scope.included.clone(), types, known, gone: gone.clone() })
}

/// Checks at the start that the configuration fits at least one existing table.
pub fn check(tables: &OutboxTables, settings: &RelaySettings) -> Result<(), Error> {
    let mut unfit = unfit(tables);
    if !unfit.is_empty() && unfit.len() == existing(tables).count() {
        let (name, error) = unfit.swap_remove(0);
        let text = format!("the outbox table {name} does not suit the configuration");
        return Err(Error::settings(text).caused_by(error));
    }

    for table in existing(tables) {
        let text = || format!("the outbox table {} does not suit the configuration", table.name);
        settings.check_lists(&table.name).map_err(|e| Error::settings(text()).caused_by(e))?;
        if let Ok(pipeline) = tables.as_in_catalog(table) {
            warn_of_losses(&pipeline);
        }
    }
    Ok(())
}

/// Warns of tables that the configuration does not fit. Rows from before a change may still be in the WAL, so the relay
/// continues.
pub fn warn_of_unfit(tables: &OutboxTables) {
    for (table, error) in unfit(tables) {
        tracing::warn!(
            target: "outbox.relay", %table, error = %ErrorChain::new(&error),
            "outbox table does not suit the configuration: new rows cannot be written"
        );
    }
}

/// Returns the tables that the configuration does not fit, with the reason.
pub fn unfit(tables: &OutboxTables) -> Vec<(&TableName, outbox_core::Error)> {
    existing(tables).filter_map(|table| Some((&table.name, tables.as_in_catalog(table).err()?))).collect()
}

fn existing(tables: &OutboxTables) -> impl Iterator<Item = &OutboxTable> {
    tables.known.iter().filter(|table| !table.columns.is_empty())
}

fn warn_of_losses(pipeline: &Pipeline) {
    let table = pipeline.layout().qualified_name();
    let accepting =
        |losses: &[Loss]| Pipeline::accepting(losses, pipeline.config().clone(), pipeline.layout().clone()).err();
    let nullable = accepting(&[Loss::JsonExpansion, Loss::UnreadableRecords]);
    for contradiction in nullable.iter().flat_map(outbox_core::Error::contradictions) {
        tracing::warn!(target: "outbox.relay", table, column = %contradiction, "column may be NULL");
    }
    let unreadable = accepting(&[Loss::JsonExpansion, Loss::NullableColumns]);
    for contradiction in unreadable.iter().flat_map(outbox_core::Error::contradictions) {
        tracing::warn!(target: "outbox.relay", table, reason = %contradiction, "records cannot be read in full");
    }
}

/// The tables that the configuration includes, and those of them that the router sees.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The pipeline, over a table with assumed columns.
    pub pipeline: Pipeline,
    pub included: Included,
    pub candidates: Candidates,
    /// The only table that the configuration names, if it names one.
    named: Option<TableName>,
}

impl Scope {
    pub fn of(settings: &RelaySettings) -> Self {
        Self {
            pipeline: settings.pipeline().clone(),
            included: settings.included().clone(),
            candidates: settings.candidates(),
            named: settings.named_table().cloned(),
        }
    }

    /// Connects to the catalogs, and watches the included tables.
    pub async fn open(
        &self,
        options: &ConnectOptions,
        source: &Source,
    ) -> Result<PublicationCatalog, outbox_wal::Error> {
        let mut catalog = PublicationCatalog::open(options, source).await?;
        self.watch(&mut catalog).await?;
        Ok(catalog)
    }

    /// Watches the tables that the configuration includes now.
    pub async fn watch(&self, catalog: &mut PublicationCatalog) -> Result<(), outbox_wal::Error> {
        let tables = self.tables(catalog).await?;
        catalog.watch(tables);
        Ok(())
    }

    /// Returns the tables that the configuration includes now. If there is none, the one that it names is missing.
    pub async fn tables(&self, catalog: &mut PublicationCatalog) -> Result<Vec<TableName>, outbox_wal::Error> {
        let tables = self.candidates.included(catalog, &self.included).await?;
        Ok(if tables.is_empty() { self.named.iter().cloned().collect() } else { tables })
    }
}

/// Creates a missing publication and a missing slot, if the settings demand it.
pub async fn create_missing(
    settings: &RelaySettings,
    options: &ConnectOptions,
    source: &Source,
    scope: &Scope,
) -> Result<(), outbox_wal::Error> {
    if !settings.creates_missing() {
        return Ok(());
    }
    let mut catalog = PublicationCatalog::open(options, source).await?;
    let mut tables = scope.tables(&mut catalog).await?;
    tables.retain(|table| scope.included.routes(table));
    let creation = Creation::new(source, tables.iter().map(|table| (table.schema.as_str(), table.table.as_str())));
    let creation = if settings.has_failover_slot() { creation.failover() } else { creation };
    let created = creation.create_missing(options).await?;

    let (publication, slot) = (source.publication(), source.slot());
    if created.publication {
        tracing::info!(target: "outbox.relay", publication, "publication created");
    }
    if created.slot {
        let text = "replication slot created: rows that were committed before are not sent";
        tracing::warn!(target: "outbox.relay", slot, "{text}");
    }
    Ok(())
}
