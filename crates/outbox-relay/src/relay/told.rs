use outbox_core::{ConnectorConfig, Loss, Pipeline};
use outbox_wal::{CatalogueTable, TableName};

use crate::error::Error;
use crate::rows;
use outbox_net::ErrorChain;

/// Returns the pipeline over the first table that suits the configuration, as the catalogs have it: types, defaults and whether
/// columns may be NULL are part of Debezium's records. `before` is that of the last look: rows from then may be left, so the
/// first look only fails.
pub(super) fn pipeline(
    config: &ConnectorConfig,
    assumed: &Pipeline,
    before: Option<&Pipeline>,
    tables: &[(TableName, CatalogueTable)],
) -> Result<Pipeline, Error> {
    let (mut first, mut unfit) = (None, None);
    for (name, table) in tables.iter().filter(|(_, table)| !table.columns.is_empty()) {
        match rows::as_in_catalog(config, name, table) {
            Ok(pipeline) => {
                if before.is_none() {
                    warn_of_nullable(&pipeline);
                }
                first.get_or_insert(pipeline);
            }
            Err(error) => {
                tracing::warn!(
                    target: "outbox.relay", table = %name, error = %ErrorChain::new(&error),
                    "the outbox table does not suit the configuration: new rows cannot be written"
                );
                unfit.get_or_insert((name, error));
            }
        }
    }

    match (first, before, unfit) {
        (Some(first), ..) => Ok(first),
        (None, None, Some((name, error))) => {
            Err(Error::settings(format!("the outbox table {name} does not suit the configuration")).caused_by(error))
        }
        (None, before, _) => Ok(before.unwrap_or(assumed).clone()),
    }
}

fn warn_of_nullable(pipeline: &Pipeline) {
    let strict = Pipeline::accepting(&[Loss::JsonExpansion], pipeline.config().clone(), pipeline.layout().clone());
    for contradiction in strict.err().iter().flat_map(outbox_core::Error::contradictions) {
        tracing::warn!(target: "outbox.relay", column = %contradiction, "column may be NULL");
    }
}
