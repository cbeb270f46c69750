use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;

use outbox_net::ErrorChain;

use crate::wording::in_commands;

/// The exit codes, which docs/cli.md and `--help` document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is as it should be, or the command did what it was asked to do.
    Success = 0,
    /// The command ran, and found something wrong: a failed task, a difference, a failed check.
    Finding = 1,
    /// The command line or a file that it names cannot be used. clap exits with this code as well.
    Usage = 2,
    /// The command refused to run, because it would lose events or was not confirmed.
    Refused = 3,
    /// A server cannot be reached, or rejected a request.
    Server = 4,
    /// The named object does not exist.
    NotFound = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The reason why a command ended early. `Display` says what happened and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self { exit: Exit::Server, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotFound, message: message.into() }
    }

    /// Adds the causes, without values of rows that servers quote.
    pub(crate) fn caused_by(self, error: &(dyn StdError + 'static)) -> Self {
        Self { message: format!("{}: {}", self.message, in_commands(ErrorChain::new(error).to_string())), ..self }
    }

    /// Adds the remedy, with this program's commands.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        Self { message: format!("{}\n{hint}", self.message), ..self }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}
