use outbox_core::{Loss, Pipeline};
use outbox_wal::CatalogueTable;

use crate::error::Error;
use crate::rows;
use outbox_net::ErrorChain;

/// Returns the pipeline over the table as the catalogs have it: types, defaults and whether columns may be NULL are part of
/// Debezium's records. `before` is the pipeline of the last look: rows from then may be left, so the first look only fails.
pub(super) fn pipeline(
    configured: &Pipeline,
    before: Option<&Pipeline>,
    table: &CatalogueTable,
) -> Result<Pipeline, Error> {
    let name = configured.layout().qualified_name();
    if table.columns.is_empty() {
        return Ok(before.unwrap_or(configured).clone());
    }
    match (rows::as_in_catalog(configured, table), before) {
        (Ok(pipeline), Some(_)) => Ok(pipeline),
        (Ok(pipeline), None) => {
            warn_of_nullable(&pipeline);
            Ok(pipeline)
        }
        (Err(error), None) => {
            Err(Error::settings(format!("the outbox table {name} does not suit the configuration")).caused_by(error))
        }
        (Err(error), Some(before)) => {
            tracing::warn!(
                target: "outbox.relay", table = name, error = %ErrorChain::new(&error),
                "the outbox table does not suit the configuration: new rows cannot be written"
            );
            Ok(before.clone())
        }
    }
}

fn warn_of_nullable(pipeline: &Pipeline) {
    let strict = Pipeline::accepting(&[Loss::JsonExpansion], pipeline.config().clone(), pipeline.layout().clone());
    for contradiction in strict.err().iter().flat_map(outbox_core::Error::contradictions) {
        tracing::warn!(target: "outbox.relay", column = %contradiction, "column may be NULL");
    }
}
