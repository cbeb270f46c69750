//! `outbox-relay`: reads an outbox's slot and writes its events to Kafka, in Debezium's place.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use outbox_relay::cli::{CheckArguments, ReportForm, RunArguments, check, run};

/// Relays the events of an outbox table from PostgreSQL to Kafka, record for record as Debezium's EventRouter would.
///
/// It takes the very configuration that Kafka Connect takes, reads the same slot and publication, and holds the slot
/// as long as it runs: a second relay waits and takes over. SIGTERM drains it. Exit code: 1 if it stops because of an
/// error, 2 if the configuration or the command line cannot be used.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    relay: RunArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Reports what the relay makes of a connector's configuration, and with --connect of its servers
    ///
    /// Exit code: 0 if the relay accepts it and no check of a server fails, 1 if not, 2 if it cannot be read.
    Check {
        #[command(flatten)]
        check: CheckArguments,

        /// The form of the report
        #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
        output: ReportForm,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let CommandLine { command, relay } = CommandLine::parse();
    match command {
        Some(Command::Check { check: arguments, output }) => check(arguments, output).await.into(),
        None => run(relay).await.into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_check_needs_a_file_only() {
        let parse = |line: &[&str]| CommandLine::try_parse_from(line);
        let checked = parse(&["relay", "check", "c.json", "--output", "json"]).unwrap();
        assert!(checked.command.is_some());
        assert!(parse(&["relay", "check"]).is_err());
        assert!(parse(&["relay"]).is_err());
        assert!(parse(&["relay", "check", "c.json", "--topic", "t"]).is_err());
        assert!(parse(&["relay", "--connector", "c.json"]).is_ok());
        assert!(parse(&["relay", "--connector", "c.json", "--stalled-after", "0"]).is_err());
    }
}
