use std::io::IsTerminal as _;
use std::path::Path;

use outbox_net::{Secret, SecretSource};

use crate::exit::Failure;

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
