//! `outbox`: finds out why events of an outbox do not arrive, and fixes it.

mod command_line;
mod connect;
mod connector;
mod consumer;
mod doctor;
mod events;
mod exit;
mod generate;
mod kafka;
mod migrate;
mod model;
mod output;
mod postgres;
mod prompt;
mod replay;
mod slot;
mod uninstall;
mod wording;

use std::process::ExitCode;

use self::command_line::CommandLine;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(CommandLine::read().run()).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::notice(&format!("error: {failure}"));
            failure.exit().into()
        }
    }
}
