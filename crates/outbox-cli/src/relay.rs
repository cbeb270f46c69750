use clap::Subcommand;
use outbox_relay::cli::{CheckArguments, CommandOutcome, ReportForm, RunArguments, check, run};

use crate::exit::Exit;
use crate::output::Output;

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
