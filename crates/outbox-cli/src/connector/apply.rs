use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outbox_core::ConnectorConfig;
use serde::Serialize;

use super::state::running;
use crate::connect::Rest;
use crate::exit::{Exit, Failure};
use crate::model::read_config;
use crate::output::{Output, Part, Report, or_dash, write};

#[derive(Args)]
pub(crate) struct Apply {
    /// The connector
    name: String,
    /// The configuration, as PUT /connectors/NAME/config takes it
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    /// Validates the file before anything is changed, then creates or changes the connector and waits until it runs. A
    /// connector that is unchanged and has not failed is left alone.
    pub(super) async fn run(self, rest: &Rest, output: Output, limit: Duration) -> Result<Exit, Failure> {
        let Self { name, file, dry_run } = self;
        let config = read_config(&file)?;
        let validation = validated(rest, &name, &config).await?;
        if !validation.is_accepted() {
            output.print(&validation)?;
            return Ok(Exit::Finding);
        }

        let current = rest.config(&name).await?;
        let difference = Difference::new(&name, current.as_ref(), &config);
        if dry_run {
            output.print(&difference)?;
            return Ok(Exit::Success);
        }

        let is_new = current.is_none();
        let is_unchanged = !is_new && difference.is_empty();
        if !is_unchanged {
            rest.put_config(&name, &config).await?;
        }

        if output == Output::Table {
            let done = if is_unchanged {
                "unchanged"
            } else if is_new {
                "created"
            } else {
                "changed"
            };
            write(&format!("connector {name} {done}\n"))?;
        }

        // A paused connector stays paused, whatever its configuration.
        match rest.status(&name).await? {
            Some(state) if is_unchanged && !state.is_failed() && !state.tasks().is_empty() => {
                output.print(&super::state::Shown::new(state, false))?;
                Ok(Exit::Success)
            }
            _ => running(rest, &name, limit, output).await,
        }
    }
}

/// The faults that Kafka Connect finds in a configuration.
#[derive(Serialize)]
pub(super) struct Validation {
    connector: String,
    accepted: bool,
    errors: Vec<KeyError>,
}

#[derive(Serialize)]
struct KeyError {
    key: String,
    error: String,
}

pub(super) async fn validated(rest: &Rest, name: &str, config: &ConnectorConfig) -> Result<Validation, Failure> {
    let errors: Vec<_> =
        rest.validate(name, config).await?.into_iter().map(|(key, error)| KeyError { key, error }).collect();
    Ok(Validation { connector: name.to_owned(), accepted: errors.is_empty(), errors })
}

impl Validation {
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted
    }
}

impl Report for Validation {
    fn parts(&self) -> Vec<Part> {
        if self.accepted {
            return vec![Part::Line(format!("Kafka Connect accepts the configuration of {}", self.connector))];
        }
        let rows = self.errors.iter().map(|one| vec![one.key.clone(), one.error.clone()]).collect();
        let line = format!("Kafka Connect rejects the configuration of {}:", self.connector);
        vec![Part::Line(line), Part::Table { head: &["key", "error"], rows }]
    }
}

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
