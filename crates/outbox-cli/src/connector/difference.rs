use std::collections::BTreeSet;

use outbox_core::ConnectorConfig;
use serde::Serialize;

use crate::output::{Part, Report, or_dash};

/// The keys in which the configuration of a connector differs from that of a file. Secrets are not shown.
#[derive(Serialize)]
pub(super) struct Difference {
    connector: String,
    changes: Vec<KeyChange>,
}

#[derive(Serialize)]
struct KeyChange {
    key: String,
    /// The value of the connector.
    current: Option<String>,
    /// The value of the file.
    file: Option<String>,
}

impl Difference {
    pub(super) fn new(name: &str, current: Option<&ConnectorConfig>, file: &ConnectorConfig) -> Self {
        let keys = current.into_iter().chain([file]).flat_map(ConnectorConfig::iter).map(|(key, _)| key);
        // Connect adds the key `name` itself.
        let keys: BTreeSet<_> = keys.filter(|key| *key != "name").collect();
        let differs = |key: &&str| current.and_then(|current| current.get(key)) != file.get(key);
        let shown = |config: &ConnectorConfig, key: &str| config.redacted(key).map(str::to_owned);
        let changes = keys.into_iter().filter(differs).map(|key| KeyChange {
            key: key.to_owned(),
            current: current.and_then(|current| shown(current, key)),
            file: shown(file, key),
        });
        Self { connector: name.to_owned(), changes: changes.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Report for Difference {
    fn parts(&self) -> Vec<Part> {
        if self.is_empty() {
            return vec![Part::Line(format!("connector {} has the configuration of the file", self.connector))];
        }
        let cell = |value: &Option<String>| or_dash(value.as_deref());
        let rows =
            self.changes.iter().map(|change| vec![change.key.clone(), cell(&change.current), cell(&change.file)]);
        vec![Part::Table { head: &["key", "connector", "file"], rows: rows.collect() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_without_being_shown() {
        let config = |json: &str| ConnectorConfig::from_json(json).unwrap();
        let current = config(r#"{"name": "c", "a": "1", "gone": "x", "database.password": "hunter1"}"#);
        let file = config(r#"{"a": "1", "b": "2", "database.password": "hunter2"}"#);
        let difference = Difference::new("c", Some(&current), &file);
        let keys: Vec<_> = difference.changes.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["b", "database.password", "gone"]);
        assert!(!serde_json::to_string(&difference).unwrap().contains("hunter"));
        assert!(Difference::new("c", Some(&current), &current).is_empty());
    }
}
