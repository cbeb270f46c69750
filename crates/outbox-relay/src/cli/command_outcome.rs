use std::error::Error;
use std::process::ExitCode;

/// The outcome of a command, which is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandOutcome {
    /// 0: the relay has drained, or the check found nothing that fails.
    Success,
    /// 1: the relay stopped because of an error, or the check found something that fails.
    Failed,
    /// 2: the command line cannot be used, or the connector's configuration cannot be read or, by a run, is rejected.
    Unusable,
}

impl From<CommandOutcome> for ExitCode {
    fn from(ended: CommandOutcome) -> Self {
        Self::from(match ended {
            CommandOutcome::Success => 0,
            CommandOutcome::Failed => 1,
            CommandOutcome::Unusable => 2,
        })
    }
}

/// Returns an error with its causes.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {cause}"));
        source = cause.source();
    }
    text
}
