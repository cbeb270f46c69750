//! The forms in which a connector's configuration is kept in a file.

mod strimzi;
mod yaml;

use std::path::Path;

use outbox_core::ConnectorConfig;
use outbox_net::Properties;

use super::SettingsError;

/// Reads a connector's configuration from a file: `.properties` as of Kafka Connect in standalone mode, `.yaml` or
/// `.yml` with one `KafkaConnector` of Strimzi, and else JSON. Placeholders stay as they are.
///
/// # Errors
/// The file cannot be read, or has no configuration in the form that its name's ending says.
pub fn read_connector_file(path: impl AsRef<Path>) -> Result<ConnectorConfig, SettingsError> {
    let path = path.as_ref();
    let at = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| SettingsError::file(at(), "it cannot be read").caused_by(e))?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    if ending == Some("properties") {
        return Ok(Properties::from_latin1(&bytes).iter().collect());
    }

    let text = String::from_utf8(bytes).map_err(|_| SettingsError::file(at(), "it is no text in UTF-8"))?;
    // Some editors on Windows begin a file with a byte order mark, which Kafka Connect skips.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match ending {
        Some("yaml" | "yml") => strimzi::connector(text).map_err(|reason| SettingsError::file(at(), reason)),
        _ => ConnectorConfig::from_json(text)
            .map_err(|e| SettingsError::file(at(), "it has no configuration").caused_by(e)),
    }
}
