use std::io::{IsTerminal as _, Write as _};

use clap::Args;

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
