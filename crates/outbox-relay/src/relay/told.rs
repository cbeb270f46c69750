use std::sync::Arc;

use outbox_core::{Error, Nullability, Pipeline, TableLayout};

use crate::rows;
use crate::settings::RelaySettings;
use outbox_net::ErrorChain;
use outbox_wal::{CatalogueColumn, PublishedTable};

/// Returns the pipeline over a table. The table of the settings has the layout of the settings.
pub(super) fn pipeline(
    settings: &RelaySettings,
    table: &PublishedTable,
    columns: &[CatalogueColumn],
) -> Result<Pipeline, Arc<Error>> {
    let layout = settings.pipeline().layout();
    if layout.schema().as_str() == table.name.schema && layout.table().as_str() == table.name.table {
        return Ok(configured(settings, columns));
    }
    rows::over(settings.pipeline(), &table.name, columns).map_err(|error| {
        let reason = ErrorChain::new(&error);
        tracing::warn!(
            target: "outbox.relay", table = %table.name, error = %reason,
            "the configuration does not suit an included table: a row of it is one that cannot be written"
        );
        Arc::new(error)
    })
}

/// The settings' pipeline with what the catalogue tells of its table: a column's DEFAULT and whether it may be NULL are
/// part of Debezium's records.
fn configured(settings: &RelaySettings, columns: &[CatalogueColumn]) -> Pipeline {
    let configured = settings.pipeline().layout();
    if columns.is_empty() {
        let table = configured.qualified_name();
        tracing::warn!(target: "outbox.relay", table, "the outbox table is not there, or not to be seen by this role");
        return settings.pipeline().clone();
    }
    let types = columns.iter().map(|column| (&*column.name, column.ty, column.modifier));
    if let Some(mismatch) = rows::mismatch(types, configured) {
        tracing::warn!(target: "outbox.relay", %mismatch, "the outbox table is not as its layout: new rows cannot be written");
    }
    let told = |nullability: fn(&CatalogueColumn, Nullability) -> Nullability| -> TableLayout {
        columns.iter().fold(configured.clone(), |layout, column| {
            match configured.column(&column.name).map(|known| nullability(column, known.nullability())) {
                Some(nullability) => layout.told(&column.name, nullability, column.default.as_deref()),
                None => layout,
            }
        })
    };
    let as_it_is = told(|column, _| if column.is_nullable { Nullability::Nullable } else { Nullability::NotNull });
    let fitting = settings.pipeline_with(as_it_is).or_else(|error| {
        let error = ErrorChain::new(&error);
        tracing::warn!(
            target: "outbox.relay", %error,
            "the outbox table allows NULL where the relay does not: a row that has it is one that cannot be written"
        );
        settings.pipeline_with(told(|_, known| known))
    });
    fitting.unwrap_or_else(|_| settings.pipeline().clone())
}
