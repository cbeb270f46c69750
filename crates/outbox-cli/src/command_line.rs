use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use outbox_relay::cli::{CheckArguments, CommandOutcome, ReportForm, RunArguments, check, run, seconds};

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
use crate::replay::ReplayCommand;
use crate::slot::SlotCommand;
use crate::uninstall::Uninstall;

const EXIT_CODES_AND_EXAMPLES: &str = "Exit codes:
  0  everything is as it should be, or done
  1  something is wrong: a failed task, a difference, a failed check, a relay that stopped
  2  the command line or a file cannot be used
  3  refused: events would be lost, or there was no confirmation
  4  a server cannot be reached, or rejected a request
  5  the named object does not exist

Passwords are never options: they come from variables (DATABASE_URL, PGPASSWORD, CONNECT_PASSWORD), files, commands, or a \
prompt.

Examples:
  outbox doctor --connector outbox-connector --brokers kafka:9092 --group stock
  outbox roles --application shop_app --connector shop_cdc --maintainer shop_maintenance
  outbox roles --connector shop_cdc --platform amazon-rds";

/// The heading of the options that all commands have.
const GENERAL: &str = "General options";

/// Finds out why events of an outbox do not arrive, and fixes it
///
/// Commands only read unless their help says otherwise. Those that could lose events count and list them, and refuse.
#[derive(Parser)]
#[command(name = "outbox", version, after_help = EXIT_CODES_AND_EXAMPLES)]
pub(crate) struct CommandLine {
    /// The form of what is printed
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table", global = true, help_heading = GENERAL)]
    output: Output,

    /// The time that a server may take for an answer, and a connector for a change of its state
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        value_parser = seconds,
        global = true,
        help_heading = GENERAL
    )]
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
    /// Single events, and whether all of them arrived: show, tail, verify
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
    /// Publishes rows of a kept table again, such as those that a lost slot left out: run, list
    Replay {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        model: ModelOptions,
        #[command(subcommand)]
        command: ReplayCommand,
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
    Uninstall(Box<Uninstall>),
    /// The relay, which replaces Debezium: check, run
    Relay {
        #[command(subcommand)]
        command: RelayCommand,
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
    Man {
        /// Write the pages of all commands into this directory instead
        directory: Option<PathBuf>,
    },
}

impl CommandLine {
    /// Reads the command line of the process. A mistake in it, or a question for help, ends the process.
    pub(crate) fn read() -> Self {
        let matches = with_examples(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

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
            Command::Replay { database, model, command } => {
                Box::pin(command.run(&database, &model, output, timeout)).await
            }
            Command::Migrate { database, model, command } => command.run(&database, &model, output, timeout).await,
            Command::Uninstall(uninstall) => Box::pin(uninstall.run(output, timeout)).await,
            Command::Relay { command } => Ok(Box::pin(command.run(output)).await),
            Command::Roles { model, roles } => roles.run(&model),
            Command::Config { model, command } => command.run(&model),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "outbox", &mut script);
                write(&String::from_utf8_lossy(&script))?;
                Ok(Exit::Success)
            }
            Command::Man { directory: Some(directory) } => {
                let written = clap_mangen::generate_to(with_examples(Self::command()), &directory);
                written.map_err(|e| {
                    let message = format!("the manual pages cannot be written to {}", directory.display());
                    Failure::usage(message).caused_by(&e)
                })?;
                Ok(Exit::Success)
            }
            Command::Man { directory: None } => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(Self::command()).render(&mut page);
                rendered.map_err(|e| Failure::usage("the manual page cannot be written").caused_by(&e))?;
                write(&String::from_utf8_lossy(&page))?;
                Ok(Exit::Success)
            }
        }
    }
}

const EXAMPLES: &str = "Examples:
  outbox relay check connector.json
  outbox relay check connector.json --connect --brokers kafka:9092
  outbox relay run --connector connector.json --brokers kafka:9092 --listen 0.0.0.0:9404";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum RelayCommand {
    /// Reports what the relay makes of a connector's configuration, and with --connect of its servers
    ///
    /// Exit code: 1 if the relay rejects it or a check of a server fails, 2 if it cannot be read.
    Check(Box<CheckArguments>),
    /// Relays the events of the outbox to Kafka, in Debezium's place, until SIGTERM or SIGINT
    ///
    /// It takes the very configuration that Kafka Connect takes, reads the same slot and publication, and holds the
    /// slot as long as it runs: a second relay waits and takes over. Exit code: 1 if it stops because of an error, 2 if
    /// the configuration or the command line cannot be used.
    Run(Box<RunArguments>),
}

impl RelayCommand {
    pub(crate) async fn run(self, output: Output) -> Exit {
        let ended = match self {
            Self::Check(arguments) => {
                let form = if output == Output::Json { ReportForm::Json } else { ReportForm::Text };
                check(*arguments, form).await
            }
            Self::Run(arguments) => run(*arguments).await,
        };
        match ended {
            CommandOutcome::Success => Exit::Success,
            CommandOutcome::Unusable => Exit::Usage,
            _ => Exit::Finding,
        }
    }
}

const TITLE: &str = "Examples:";

/// Shows the examples that a command has for its subcommands in their help as well.
fn with_examples(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    below(command, &name)
}

fn below(command: clap::Command, path: &str) -> clap::Command {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.split_once(TITLE).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    command.mut_subcommands(|inner| {
        let path = format!("{path} {}", inner.get_name());
        let names_inner = |line: &&str| format!("{} ", line.trim()).starts_with(&format!("{path} "));
        let of_inner: String = examples.lines().filter(names_inner).map(|line| format!("\n{line}")).collect();
        let inner = match inner.get_after_help() {
            None if !of_inner.is_empty() => inner.after_help(format!("{TITLE}{of_inner}")),
            _ => inner,
        };
        below(inner, &path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_and_is_in_the_document() {
        let document = include_str!("../../../docs/cli.md");
        let mut waiting = vec![("outbox".to_owned(), with_examples(CommandLine::command()))];
        while let Some((path, command)) = waiting.pop() {
            let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned().collect();
            if inner.is_empty() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let name = path.trim_start_matches("outbox ");
                let has_example = help.lines().any(|line| format!("{} ", line.trim()).starts_with(&format!("{path} ")));
                assert!(has_example || ["completions", "man"].contains(&name), "there is no example of {path}");
                assert!(document.contains(&format!("`{name}`")), "docs/cli.md does not have `{name}`");
            }
            waiting.extend(inner.into_iter().map(|inner| (format!("{path} {}", inner.get_name()), inner)));
        }
    }

    #[test]
    fn subcommands_have_the_examples_that_name_them() {
        let slot = clap::Command::new("slot").subcommands([clap::Command::new("drop"), clap::Command::new("drop-all")]);
        let help = "Codes\n\nExamples:\n  it slot drop\n  it slot drop a\n  it slot drop-all";
        let command = with_examples(clap::Command::new("it").after_help(help).subcommand(slot));
        let after = |command: &clap::Command| command.get_after_help().unwrap().to_string();
        let slot = command.find_subcommand("slot").unwrap();
        assert_eq!(after(slot), "Examples:\n  it slot drop\n  it slot drop a\n  it slot drop-all");
        let drop = slot.find_subcommand("drop").unwrap();
        assert_eq!(after(drop), "Examples:\n  it slot drop\n  it slot drop a");
    }
}
