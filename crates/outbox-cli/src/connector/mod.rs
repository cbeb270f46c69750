//! `outbox connector`: connectors of Kafka Connect.

mod apply;
mod delete;
mod offsets;
mod state;
mod supervise;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use self::apply::{Apply, Difference, validated};
use self::delete::Delete;
use self::offsets::Offsets;
use self::state::{Listed, Shown, exists, is_stopped, running, shown};
use self::supervise::Supervise;
use crate::connect::{ConnectOptions, ConnectorState, RestartedTasks};
use crate::exit::{Exit, Failure};
use crate::model::read_config;
use crate::output::Output;
use crate::postgres::DatabaseOptions;

const EXAMPLES: &str = "Examples:
  outbox connector list
  outbox connector status outbox-connector
  outbox connector validate outbox-connector deploy/outbox-connector.json
  outbox connector diff outbox-connector deploy/outbox-connector.json
  outbox connector apply outbox-connector deploy/outbox-connector.json --dry-run
  outbox connector apply outbox-connector deploy/outbox-connector.json
  outbox connector pause outbox-connector
  outbox connector resume outbox-connector
  outbox connector stop outbox-connector
  outbox connector restart outbox-connector --only-failed
  outbox connector offsets outbox-connector
  outbox connector delete outbox-connector --delete-offsets
  outbox connector supervise outbox-connector --output json";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ConnectorCommand {
    /// Lists the connectors with their states
    ///
    /// Exit code: 1 if one has failed or does not run.
    List,
    /// Shows the states of a connector and its tasks, with the cause of a failure
    ///
    /// Exit code: 0 if everything runs, or is paused or stopped; 1 if not.
    Status {
        /// The connector
        name: String,
        /// Print the whole stack trace of a failure
        #[arg(long)]
        trace: bool,
    },
    /// Creates a connector, or changes its configuration, after Kafka Connect has validated it
    ///
    /// A connector that has this configuration already is left as it is. Exit code: 1 if the configuration is rejected.
    Apply(Apply),
    /// Lets Kafka Connect validate a configuration without using it
    ///
    /// The worker resolves placeholders and connects to the database. Exit code: 1 if the configuration is rejected.
    Validate {
        /// The connector that the configuration is meant for
        name: String,
        /// The configuration
        file: PathBuf,
    },
    /// Compares the configuration of a connector with a file
    ///
    /// Exit code: 1 if there is a difference.
    Diff {
        /// The connector
        name: String,
        /// The configuration
        file: PathBuf,
    },
    /// Pauses a connector: its tasks read nothing, and PostgreSQL keeps the WAL meanwhile
    Pause {
        /// The connector
        name: String,
    },
    /// Resumes a connector that is paused or stopped
    Resume {
        /// The connector
        name: String,
    },
    /// Stops a connector: it keeps configuration and offsets, and has no tasks
    Stop {
        /// The connector
        name: String,
    },
    /// Restarts a connector and its tasks; it continues at its offsets
    Restart {
        /// The connector
        name: String,
        /// Restart only what has failed
        #[arg(long)]
        only_failed: bool,
    },
    /// Removes a connector, and reports what remains: slot, publication, offsets
    Delete(Delete),
    /// Shows the offsets of a connector, or removes them
    Offsets(Offsets),
    /// Restarts failed connectors and tasks with growing pauses, until SIGINT or SIGTERM
    Supervise(Supervise),
}

impl ConnectorCommand {
    pub(crate) async fn run(
        self,
        connect: &ConnectOptions,
        database: &DatabaseOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let rest = connect.rest(limit).await?;
        match self {
            Self::List => {
                let connectors = rest.list().await?;
                let is_good = connectors.iter().all(ConnectorState::is_good);
                output.print(&Listed { connectors })?;
                Ok(if is_good { Exit::Success } else { Exit::Finding })
            }
            Self::Status { name, trace } => {
                exists(&rest, &name).await?;
                let state = rest.status(&name).await?;
                let state =
                    state.ok_or_else(|| Failure::server(format!("connector {name} has no state yet: ask again")))?;
                let is_good = state.is_good();
                output.print(&Shown::new(state, trace))?;
                Ok(if is_good { Exit::Success } else { Exit::Finding })
            }
            Self::Apply(apply) => apply.run(&rest, output, limit).await,
            Self::Validate { name, file } => {
                let validation = validated(&rest, &name, &read_config(&file)?).await?;
                output.print(&validation)?;
                Ok(if validation.is_accepted() { Exit::Success } else { Exit::Finding })
            }
            Self::Diff { name, file } => {
                let difference = Difference::new(&name, Some(&exists(&rest, &name).await?), &read_config(&file)?);
                output.print(&difference)?;
                Ok(if difference.is_empty() { Exit::Success } else { Exit::Finding })
            }
            Self::Pause { name } => {
                rest.put(&name, "pause").await?;
                shown(rest.wait(&name, limit, "paused", |state| state.is_all("PAUSED")).await?, output)
            }
            Self::Resume { name } => {
                rest.put(&name, "resume").await?;
                running(&rest, &name, limit, output).await
            }
            Self::Stop { name } => {
                rest.put(&name, "stop").await?;
                shown(rest.wait(&name, limit, "stopped", is_stopped).await?, output)
            }
            Self::Restart { name, only_failed } => {
                let tasks = if only_failed { RestartedTasks::Failed } else { RestartedTasks::All };
                rest.restart(&name, tasks).await?;
                running(&rest, &name, limit, output).await
            }
            Self::Delete(delete) => delete.run(&rest, database, output, limit).await,
            Self::Offsets(offsets) => offsets.run(&rest, output).await,
            Self::Supervise(supervise) => supervise.run(&rest, output).await,
        }
    }
}
