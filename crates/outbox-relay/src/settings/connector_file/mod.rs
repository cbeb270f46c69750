//! The forms in which a connector's configuration is kept in a file.

mod strimzi;
mod yaml;

use std::path::Path;

use outbox_core::ConnectorConfig;
use outbox_net::Properties;

use super::SettingsError;

/// Reads a file by the form that its name's ending says: `.properties` as of Kafka Connect in standalone mode, `.yaml` and
/// `.yml` as a `KafkaConnector` of Strimzi, and JSON for any other.
pub(super) fn read(path: &Path) -> Result<ConnectorConfig, SettingsError> {
    let at = || path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|e| SettingsError::file(at(), "it cannot be read").caused_by(e))?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("properties") => Ok(Properties::parse(&text).iter().collect()),
        Some("yaml" | "yml") => strimzi::connector(&text).map_err(|reason| SettingsError::file(at(), reason)),
        _ => ConnectorConfig::from_json(&text)
            .map_err(|e| SettingsError::file(at(), "it has no configuration").caused_by(e)),
    }
}
