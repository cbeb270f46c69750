use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outbox_core::ConnectorConfig;
use serde::Serialize;

use super::difference::Difference;
use super::state::running;
use crate::connect::Rest;
use crate::exit::{Exit, Failure};
use crate::model::read_config;
use crate::output::{Output, Part, Report, write};

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
