use std::collections::HashSet;

use outbox_core::{Loss, Pipeline};
use outbox_wal::{PublicationCatalog, Published, TableName};

use super::scope::Scope;
use crate::error::Error;
use crate::rows::{OutboxTable, OutboxTables};
use crate::settings::RelaySettings;
use outbox_net::ErrorChain;

/// Reads the tables that the router sees as the catalogs have them: types, defaults and whether columns may be NULL are
/// part of Debezium's records.
pub(super) async fn tables(
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

/// Checks at the start that the configuration suits at least one of the tables that exist.
pub(super) fn check(tables: &OutboxTables, settings: &RelaySettings) -> Result<(), Error> {
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

/// Warns of tables that the configuration does not suit. Rows from before a change may be left, so the relay continues.
pub(super) fn warn_of_unfit(tables: &OutboxTables) {
    for (table, error) in unfit(tables) {
        tracing::warn!(
            target: "outbox.relay", %table, error = %ErrorChain::new(&error),
            "outbox table does not suit the configuration: new rows cannot be written"
        );
    }
}

/// Returns the tables that the configuration does not suit, and why.
pub(super) fn unfit(tables: &OutboxTables) -> Vec<(&TableName, outbox_core::Error)> {
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
