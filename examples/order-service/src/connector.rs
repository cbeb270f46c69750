use std::path::Path;

use outbox_core::{Error, Pipeline};
use thiserror::Error as ThisError;

/// The configuration that is deployed with this service.
pub const DEPLOYED: &str = include_str!("../../../deploy/outbox-connector.json");

/// Why there is no pipeline.
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

/// Returns the pipeline of the connector's configuration in the file, or of the one that is deployed with this service.
///
/// # Errors
/// There is no such file, or it does not describe a pipeline that keeps every event.
pub fn pipeline(file: Option<&Path>) -> Result<Pipeline, ConnectorError> {
    match file {
        None => Pipeline::from_connector_json(DEPLOYED),
        Some(path) => {
            let json = std::fs::read_to_string(path).map_err(|e| ConnectorError::File(path.to_owned(), e))?;
            Pipeline::from_connector_json(&json)
        }
    }
    .map_err(ConnectorError::Pipeline)
}
