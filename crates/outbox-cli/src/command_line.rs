use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::connect::ConnectOptions;
use crate::connector::ConnectorCommand;
use crate::consumer::{ConsumerCommand, DeadLettersCommand, StoreOptions};
use crate::doctor::Doctor;
use crate::events::EventsCommand;
use crate::exit::{Exit, Failure};
use crate::generate::{ConfigCommand, Roles};
use crate::kafka::KafkaOptions;
use crate::migrate::MigrateCommand;
use crate::model::ModelOptions;
use crate::output::{Output, write};
use crate::postgres::DatabaseOptions;
use crate::slot::SlotCommand;

const EXIT_CODES: &str = "Exit codes:
  0  everything is as it should be, or done
  1  something is wrong: a failed task, a difference, a failed check
  2  the command line or a file cannot be used
  3  refused: events would be lost, or there was no confirmation
  4  a server cannot be reached, or rejected a request
  5  the named object does not exist

Passwords are never options: they come from variables (DATABASE_URL, PGPASSWORD, CONNECT_PASSWORD), files, commands, or a
prompt.";

/// Finds out why events of an outbox do not arrive, and fixes it
///
/// Commands only read unless their help says otherwise. Those that could lose events count and list them, and refuse.
#[derive(Parser)]
#[command(name = "outbox", version, after_help = EXIT_CODES)]
pub(crate) struct CommandLine {
    /// The form of what is printed
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table", global = true)]
    output: Output,

    /// How long a server may take for an answer, and a connector for a change of its state
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, global = true)]
    timeout: Duration,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(Box<Doctor>),
    /// Connectors of Kafka Connect: list, status, apply, validate, diff, pause, resume, stop, restart, delete, offsets,
    /// supervise
    Connector {
        #[command(flatten)]
        connect: ConnectOptions,
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(subcommand)]
        command: ConnectorCommand,
    },
    /// Replication slots: list, show, create, advance, drop
    Slot {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        model: ModelOptions,
        #[command(subcommand)]
        command: SlotCommand,
    },
    /// Consumer groups: status, pause, resume, move
    Consumer {
        #[command(flatten)]
        store: StoreOptions,
        #[command(flatten)]
        kafka: KafkaOptions,
        #[command(subcommand)]
        command: ConsumerCommand,
    },
    /// Events that a consumer group holds: list, show, retry, discard
    DeadLetters {
        #[command(flatten)]
        store: StoreOptions,
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Single events, and whether all of them arrived: show, verify
    Events {
        #[command(flatten)]
        store: StoreOptions,
        #[command(flatten)]
        kafka: KafkaOptions,
        #[command(flatten)]
        model: ModelOptions,
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Tables and publication: plan, apply, export
    Migrate {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        model: ModelOptions,
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Prints the SQL of the roles: that of the services, that of the connector or the relay, and that of the
    /// maintenance
    ///
    /// Each role has what it needs, and nothing else. The SQL can be run again. The connector's role is for psql, which
    /// sets its password.
    Roles {
        #[command(flatten)]
        model: ModelOptions,
        #[command(flatten)]
        roles: Roles,
    },
    /// Files made from the model of the outbox: generate
    Config {
        #[command(flatten)]
        model: ModelOptions,
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Prints the completions of a shell, such as: outbox completions bash > /etc/bash_completion.d/outbox
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page, such as: outbox man > outbox.1
    Man,
}

impl CommandLine {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { output, timeout, command } = self;
        match command {
            Command::Connector { connect, database, command } => {
                command.run(&connect, &database, output, timeout).await
            }
            Command::Slot { database, model, command } => command.run(&database, &model, output, timeout).await,
            Command::Doctor(doctor) => Box::pin(doctor.run(output, timeout)).await,
            Command::Consumer { store, kafka, command } => Box::pin(command.run(&store, &kafka, output, timeout)).await,
            Command::DeadLetters { store, command } => Box::pin(command.run(&store, output, timeout)).await,
            Command::Events { store, kafka, model, command } => {
                command.run(&store, &kafka, &model, output, timeout).await
            }
            Command::Migrate { database, model, command } => command.run(&database, &model, output, timeout).await,
            Command::Roles { model, roles } => roles.run(&model),
            Command::Config { model, command } => command.run(&model),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "outbox", &mut script);
                write(&String::from_utf8_lossy(&script))?;
                Ok(Exit::Success)
            }
            Command::Man => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(Self::command()).render(&mut page);
                rendered.map_err(|e| Failure::usage("the manual page cannot be written").caused_by(&e))?;
                write(&String::from_utf8_lossy(&page))?;
                Ok(Exit::Success)
            }
        }
    }
}

/// Parses a time in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("it is more than 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }
}
