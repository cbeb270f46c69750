use std::error::Error;
use std::fmt;

use outbox_net::SqlStateClass;

use super::error::WalError;

/// An error or a notice in PostgreSQL's words (PostgreSQL, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// What was asked for: the same SQLSTATE means different things.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing<'a> {
    Connect,
    Query,
    TakeSlot { slot: &'a str },
    CopySlot { slot: &'a str },
    ReadChanges { slot: &'a str, publication: &'a str },
}

impl ServerError {
    pub(super) fn parse(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        error
    }

    /// By SQLSTATE only: the words depend on the server's language.
    pub(super) fn while_doing(self, doing: Doing<'_>) -> WalError {
        match (self.code.as_str(), doing) {
            ("55006", Doing::TakeSlot { slot }) => WalError::SlotActive { slot: slot.into(), pid: self.number() },
            ("42704", Doing::TakeSlot { slot } | Doing::CopySlot { slot }) => {
                WalError::SlotMissing { slot: slot.into() }
            }
            ("42704", Doing::ReadChanges { publication, .. }) => {
                WalError::PublicationMissing { publication: publication.into() }
            }
            // "cannot read from" or "can no longer get changes from" it; "requested WAL segment … removed".
            ("55000", Doing::TakeSlot { slot }) | ("58P01", Doing::ReadChanges { slot, .. }) => {
                WalError::SlotLost { slot: slot.into(), source: Some(self) }
            }
            ("53400", Doing::CopySlot { slot }) => WalError::NoFreeSlot { slot: slot.into(), source: self },
            ("42501", _) => WalError::NotPermitted { source: self },
            (code, Doing::Connect) if SqlStateClass::of(code) == SqlStateClass::Authentication => {
                WalError::Authentication { source: self }
            }
            _ => WalError::Server { source: self },
        }
    }

    /// Out of resources, shutting down or starting, cancelled, a conflict (PostgreSQL, appendix "Error Codes").
    pub(super) fn is_transient(&self) -> bool {
        // 55000 of a copy: its source changed meanwhile.
        SqlStateClass::of(&self.code).is_transient() || self.code == "55000"
    }

    /// The server is shutting down, or starting.
    pub(super) fn is_not_accepting(&self) -> bool {
        self.code == "57P03"
    }

    /// The PID in "replication slot … is active for PID …".
    fn number(&self) -> Option<u32> {
        self.message.rsplit(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_means_different_things() {
        let error = |code: &str| ServerError { code: code.to_owned(), ..ServerError::default() };
        let slot = Doing::TakeSlot { slot: "s" };
        let changes = Doing::ReadChanges { slot: "s", publication: "p" };
        assert!(matches!(error("42704").while_doing(slot), WalError::SlotMissing { .. }));
        assert!(matches!(error("42704").while_doing(changes), WalError::PublicationMissing { .. }));
        assert!(matches!(error("58P01").while_doing(changes), WalError::SlotLost { .. }));
        assert!(matches!(error("28P01").while_doing(Doing::Connect), WalError::Authentication { .. }));
        assert!(error("57P01").while_doing(changes).is_transient());
        assert!(!error("42601").while_doing(changes).is_transient());
    }

    #[test]
    fn fields_and_the_pid() {
        let body = b"SERROR\0VERROR\0C55006\0Mreplication slot \"a1\" is active for PID 4242\0\0";
        let error = ServerError::parse(body);
        assert_eq!((error.code.as_str(), error.number()), ("55006", Some(4242)));
        assert_eq!(error.to_string(), "replication slot \"a1\" is active for PID 4242 (SQLSTATE 55006)");
    }
}
