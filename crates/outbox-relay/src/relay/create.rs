use outbox_wal::{ConnectOptions, Creation, PublicationCatalog, Source};

use super::scope::Scope;
use crate::settings::RelaySettings;

/// Creates a missing publication and a missing slot, if the settings demand it.
pub(super) async fn missing(
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
