use std::error::Error as StdError;
use std::fmt;

use outbox_net::SqlStateClass;

use super::error::{Error, Kind};

/// An error or a notice in PostgreSQL's words (PostgreSQL, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// The SQLSTATE.
    pub(super) code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// The file of the server's source that reports it.
    file: Option<String>,
}

/// The operation: the same SQLSTATE means different things. `Execute` is of statements of others, whose values are no part of
/// an error.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    Connect,
    Query,
    Execute,
    Identify,
    TakeSlot { slot: &'a str },
    CopySlot { slot: &'a str },
    ReadChanges { slot: &'a str, publication: &'a str },
    CreatePublication { publication: &'a str, command: &'a str },
    CreateSlot { slot: &'a str },
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
                b'F' => error.file = Some(text),
                _ => {}
            }
        }
        error
    }

    /// Converts the server's answer by SQLSTATE only: the words depend on the server's language.
    pub(super) fn while_doing(self, doing: Operation<'_>) -> Error {
        let kind = match (self.code.as_str(), doing) {
            ("55006", Operation::TakeSlot { slot }) => Kind::SlotActive { slot: slot.into(), pid: self.number() },
            ("42704", Operation::TakeSlot { slot } | Operation::CopySlot { slot }) => {
                Kind::SlotMissing { slot: slot.into() }
            }
            ("42704", Operation::ReadChanges { publication, .. }) => {
                Kind::PublicationMissing { publication: publication.into() }
            }
            // "cannot read from" or "can no longer get changes from" it, or `wal_level` is too low.
            ("55000", Operation::TakeSlot { slot }) => Kind::SlotUnreadable { slot: slot.into() },
            // "requested WAL segment … removed"
            ("58P01", Operation::ReadChanges { slot, .. }) => Kind::SlotLost { slot: slot.into(), reason: None },
            ("53400" | "42501", Operation::CopySlot { slot }) => Kind::NoCopy { slot: slot.into() },
            ("42501", Operation::CreatePublication { publication, command }) => {
                Kind::NoNewPublication { publication: publication.into(), command: command.into() }
            }
            ("42501", Operation::CreateSlot { slot }) => Kind::NoNewSlot { slot: slot.into() },
            ("55000", Operation::CreateSlot { .. }) => Kind::WalLevel,
            ("42501", _) => Kind::NotPermitted,
            // PgBouncer rejects parameters of the startup, and other poolers pass over `replication` and send the
            // command of the walsender to a session that takes SQL only.
            ("08P01", Operation::Connect) | ("42601", Operation::Identify) => Kind::Pooler,
            ("53300", Operation::Connect) => Kind::NoConnection,
            (code, Operation::Connect) if SqlStateClass::of(code) == SqlStateClass::Authentication => {
                Kind::Authentication
            }
            _ => Kind::Server,
        };
        Error::new(kind).because(match doing {
            Operation::Execute => self.without_values(),
            _ => self,
        })
    }

    /// Removes the values of statements and rows: the DETAIL, and the quotation in a syntax error and in an error of
    /// class 22.
    fn without_values(mut self) -> Self {
        self.detail = None;
        let quotes_values = self.code == "42601" || self.code.starts_with("22");
        if quotes_values && let Some(quotation) = self.message.find(['"', '«', '„', '“']) {
            self.message.truncate(quotation);
            self.message.push('…');
        }
        self
    }

    /// Returns whether trying again may help: out of resources, shutting down or starting, cancelled, a conflict
    /// (PostgreSQL, appendix "Error Codes").
    pub(super) fn is_transient(&self) -> bool {
        // 55000 of a copy: its source changed meanwhile.
        SqlStateClass::of(&self.code).is_transient() || self.code == "55000"
    }

    /// Returns whether the server is shutting down, or starting.
    pub(super) fn is_not_accepting(&self) -> bool {
        self.code == "57P03"
    }

    /// Returns whether the output plugin may have reported it, and not another part of the server.
    pub(super) fn may_be_of_plugin(&self) -> bool {
        self.file.as_deref().is_none_or(|file| file.ends_with("pgoutput.c"))
    }

    /// Returns the PID in "replication slot … is active for PID …".
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

impl StdError for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_means_different_things() {
        let error = |code: &str| ServerError { code: code.to_owned(), ..ServerError::default() };
        let slot = Operation::TakeSlot { slot: "s" };
        let changes = Operation::ReadChanges { slot: "s", publication: "p" };
        assert_eq!(error("42704").while_doing(slot).kind(), &Kind::SlotMissing { slot: "s".into() });
        assert_eq!(error("42704").while_doing(changes).kind(), &Kind::PublicationMissing { publication: "p".into() });
        assert_eq!(error("58P01").while_doing(changes).kind(), &Kind::SlotLost { slot: "s".into(), reason: None });
        assert_eq!(error("28P01").while_doing(Operation::Connect).kind(), &Kind::Authentication);
        assert!(error("57P01").while_doing(changes).is_transient());
        assert!(!error("42601").while_doing(changes).is_transient());
    }

    #[test]
    fn errors_of_statements_of_others_have_no_values() {
        let error = |code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            let detail = Some("Failing row contains (hunter2).".to_owned());
            let error = ServerError { code, message, detail, ..ServerError::default() };
            std::error::Error::source(&error.while_doing(Operation::Execute)).unwrap().to_string()
        };
        let (syntax, missing) = ("syntax error at or near \"hunter2\"", "relation \"beats\" does not exist");
        assert_eq!(error("42601", syntax), "syntax error at or near … (SQLSTATE 42601)");
        assert_eq!(error("42P01", missing), "relation \"beats\" does not exist (SQLSTATE 42P01)");
        assert!(!error("22P02", "invalid input syntax for type integer: \"hunter2\"").contains("hunter2"));
        assert!(!error("23502", "null value in column \"id\"").contains("hunter2"));
    }

    #[test]
    fn fields_and_the_pid() {
        let body = b"SERROR\0VERROR\0C55006\0Mreplication slot \"a1\" is active for PID 4242\0\0";
        let error = ServerError::parse(body);
        assert_eq!((error.code.as_str(), error.number()), ("55006", Some(4242)));
        assert_eq!(error.to_string(), "replication slot \"a1\" is active for PID 4242 (SQLSTATE 55006)");
    }
}
