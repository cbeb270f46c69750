//! Questions on the terminal: whether to proceed, and for a password.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use clap::Args;
use outbox_net::{Secret, SecretSource};

use crate::exit::Failure;

/// The confirmation of a command that removes something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Confirmation {
    /// Do it without asking; without a terminal this is required
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Asks whether to proceed.
    pub(crate) fn ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        match answer(question)? {
            Some(true) => Ok(()),
            Some(false) => Err(Failure::refused("not confirmed, and nothing was changed")),
            None => Err(Failure::refused(format!("{question} There is no terminal to ask: confirm with --yes"))),
        }
    }

    /// Offers something more. Without a terminal, or with `--yes`, it is not done unless its own option says so.
    pub(crate) fn offer(self, question: &str) -> Result<bool, Failure> {
        if self.yes { Ok(false) } else { Ok(answer(question)?.unwrap_or(false)) }
    }
}

fn answer(question: &str) -> Result<Option<bool>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let unreadable = |e: std::io::Error| Failure::refused("the answer cannot be read").caused_by(&e);
    let mut screen = std::io::stderr();
    write!(screen, "{question} [y/N] ").and_then(|()| screen.flush()).map_err(unreadable)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unreadable)?;
    Ok(Some(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}

/// The places where a password may come from. None of them is the command line.
pub(crate) struct PasswordPlaces<'a> {
    /// The purpose of the password, as the prompt shows it.
    pub(crate) whose: &'a str,
    pub(crate) file: Option<&'a Path>,
    pub(crate) command: Option<&'a str>,
    pub(crate) variable: &'a str,
}

impl PasswordPlaces<'_> {
    /// Reads the password from the file, the command or the variable; `None` if none of them is given.
    pub(crate) async fn read(&self) -> Result<Option<Secret>, Failure> {
        let source = match (self.file, self.command) {
            (Some(file), _) => SecretSource::file(file),
            (None, Some(command)) => SecretSource::command(command),
            (None, None) => {
                let value = std::env::var(self.variable).ok().filter(|value| !value.is_empty());
                return Ok(value.map(Secret::new));
            }
        };
        let read = source.read().await;
        read.map(Some).map_err(|e| Failure::usage(format!("no password for {}", self.whose)).caused_by(&e))
    }

    /// Reads the password, and asks for it on a terminal if it is nowhere else.
    pub(crate) async fn read_or_ask(&self) -> Result<Option<Secret>, Failure> {
        if let Some(secret) = self.read().await? {
            return Ok(Some(secret));
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(None);
        }
        let typed = rpassword::prompt_password(format!("Password for {}: ", self.whose));
        typed.map(|typed| Some(Secret::new(typed))).map_err(|e| Failure::usage("no password was read").caused_by(&e))
    }
}
