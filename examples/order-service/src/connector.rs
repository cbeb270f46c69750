use std::path::Path;

use outbox_core::{ConnectorConfig, Error, Pipeline, TableLayout};
use thiserror::Error as ThisError;

use crate::settings::OutboxForm;

/// The configuration that is deployed with this service.
pub const DEPLOYED: &str = include_str!("../../../deploy/outbox-connector.json");

/// The reason why there is no pipeline.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The file cannot be read.
    #[error("cannot read {0} (CONNECTOR_CONFIG)")]
    File(std::path::PathBuf, #[source] std::io::Error),
    /// It is no configuration of an outbox pipeline.
    #[error("the connector's configuration cannot be used")]
    Pipeline(#[source] Error),
}

/// Returns the pipeline of the connector's configuration in the file, or of the one that is deployed with this service. For
/// messages, the latter is the recommended one.
///
/// # Errors
/// There is no such file, or it does not describe a pipeline that keeps every event.
pub fn pipeline(file: Option<&Path>, outbox: OutboxForm) -> Result<Pipeline, ConnectorError> {
    let layout = match outbox {
        OutboxForm::Table => TableLayout::recommended(),
        OutboxForm::Message => TableLayout::messages(),
    };
    let config = match (file, outbox) {
        (None, OutboxForm::Table) => ConnectorConfig::from_json(DEPLOYED),
        (None, OutboxForm::Message) => Ok(ConnectorConfig::recommended(&layout)),
        (Some(path), _) => {
            let json = std::fs::read_to_string(path).map_err(|e| ConnectorError::File(path.to_owned(), e))?;
            ConnectorConfig::from_json(&json)
        }
    };
    config.and_then(|config| Pipeline::new(config, layout)).map_err(ConnectorError::Pipeline)
}
