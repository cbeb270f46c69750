use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use crate::lsn::{Lsn, ParseLsnError};
use outbox_net::{SqlStateClass, TlsFault};

/// The reason why the WAL cannot be read. `Display` names what happened and the remedy; `source` holds the cause.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Kind {
    #[error("the replication slot {slot:?} is held by another process{}", of_pid(*.pid))]
    SlotActive { slot: Box<str>, pid: Option<u32> },
    #[error(
        "the replication slot {slot:?} does not exist, or is not one of pgoutput in this database. To create it, run SELECT \
         pg_create_logical_replication_slot('{slot}', 'pgoutput'), after the publication exists. It sends what is committed \
         from then on"
    )]
    SlotMissing { slot: Box<str> },
    #[error(
        "the replication slot {slot:?} is lost{}: PostgreSQL has removed WAL that it had still to read. Drop the slot, create \
         it again, and publish the events that were committed in between from the table", because_of(.reason)
    )]
    SlotLost { slot: Box<str>, reason: Option<Box<str>> },
    #[error("PostgreSQL does not let the replication slot {slot:?} be read")]
    SlotUnreadable { slot: Box<str> },
    #[error("the replication slot {slot:?} is being created, which waits for the end of transactions that run")]
    SlotUnfinished { slot: Box<str> },
    /// Its walsender sends prepared transactions before they are committed.
    #[error(
        "the replication slot {slot:?} was created with two_phase, which is not supported: read it to its end with the \
         reader that it was made for, and create one without two_phase"
    )]
    TwoPhase { slot: Box<str> },
    /// A standby's copy of a slot cannot be read until the standby is promoted.
    #[error("the replication slot {slot:?} is for a primary, and the server is a standby")]
    Standby { slot: Box<str> },
    /// Rows of the time before the publication was created can never be read through it.
    #[error(
        "the publication {publication:?} does not exist, or did not when a row was written that is still to be read"
    )]
    PublicationMissing { publication: Box<str> },
    /// The stream needs no copy.
    #[error(
        "the replication slot {slot:?} cannot be copied: a copy needs a free slot (max_replication_slots), a free connection \
         (max_connections, CONNECTION LIMIT), and the right to execute pg_copy_logical_replication_slot and \
         pg_logical_slot_get_binary_changes"
    )]
    NoCopy { slot: Box<str> },
    /// A transaction is larger than a chunk may be; the stream has no such limit.
    #[error("a transaction after {after} is too large to be read at once")]
    TransactionTooLarge { after: Lsn },
    /// Few transactions have ended in much WAL: the stream begins to send a large transaction earlier.
    #[error("little has ended in the WAL before {until}")]
    FewEnds { until: Lsn },
    #[error("the role lacks a privilege, such as the attribute REPLICATION")]
    NotPermitted,
    #[error(
        "the role may not create the publication {publication:?}: it needs the privilege CREATE on the database and must own \
         the table, or let the owner run {command}"
    )]
    NoNewPublication { publication: Box<str>, command: Box<str> },
    #[error("the role may not create the replication slot {slot:?}: run ALTER ROLE … REPLICATION for it")]
    NoNewSlot { slot: Box<str> },
    #[error("PostgreSQL writes no WAL for logical replication: set wal_level = logical, and restart it")]
    WalLevel,
    #[error(
        "a connection pooler such as PgBouncer is at this address, and replication does not work through it: connect to \
         PostgreSQL itself"
    )]
    Pooler,
    #[error(
        "PostgreSQL has no connection left for this role (max_connections, max_wal_senders, CONNECTION LIMIT): reading a slot \
         needs two, and two more during a catch-up"
    )]
    NoConnection,
    #[error("PostgreSQL refused the user or the password: check both, and the line of pg_hba.conf for this host")]
    Authentication,
    #[error("PostgreSQL asks for a password, or for a way to prove it, that there is none of")]
    NoPassword,
    #[error("PostgreSQL could not prove that it knows the password")]
    Impostor,
    #[error(
        "the password of the role has {iterations} SCRAM iterations, and at most 100000 are supported: set scram_iterations \
         to at most 100000, and set the password again"
    )]
    ScramIterations { iterations: u32 },
    #[error("PostgreSQL offers no TLS: set ssl = on in its configuration, or a mode that does not demand TLS")]
    TlsRefused,
    #[error("PostgreSQL cannot be reached by TLS: {0}")]
    Tls(TlsFault),
    #[error("the host {host:?} is neither a name nor an address that TLS can check")]
    TlsName { host: Box<str> },
    #[error("the password or a certificate for PostgreSQL is not usable")]
    Secret,
    #[error("the connection to PostgreSQL is lost")]
    Lost,
    #[error("the server is a standby")]
    NotPrimary,
    #[error("none of the servers can be used: {failures}")]
    NoServer { failures: Box<str>, is_transient: bool },
    #[error("PostgreSQL did not answer within {0:?}")]
    Silent(Duration),
    #[error("the statements leave a transaction open: end it with COMMIT")]
    OpenTransaction,
    #[error("PostgreSQL reported an error")]
    Server,
    #[error("PostgreSQL said what its protocol does not know: {0}")]
    Protocol(&'static str),
}

impl Error {
    /// Returns whether another attempt may succeed without an intervention.
    ///
    /// A slot that another process holds is not among these; see [`is_slot_active`](Self::is_slot_active).
    pub fn is_transient(&self) -> bool {
        match self.0.kind {
            Kind::Lost
            | Kind::Silent(_)
            | Kind::Standby { .. }
            | Kind::NotPrimary
            | Kind::NoServer { is_transient: true, .. }
            | Kind::SlotUnfinished { .. }
            | Kind::NoConnection => true,
            Kind::Server => self.server().is_some_and(ServerError::is_transient),
            _ => false,
        }
    }

    /// Returns whether the slot does not exist.
    pub fn is_slot_missing(&self) -> bool {
        matches!(self.0.kind, Kind::SlotMissing { .. })
    }

    /// Returns whether the connection was refused or lost.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self.0.kind, Kind::Lost | Kind::NoServer { .. })
    }

    /// Returns whether the server did not answer in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Silent(_))
    }

    /// Returns whether the server is a standby, where the slot cannot be read yet.
    pub fn is_standby(&self) -> bool {
        matches!(self.0.kind, Kind::Standby { .. })
    }

    /// Returns whether another process reads the slot.
    pub fn is_slot_active(&self) -> bool {
        matches!(self.0.kind, Kind::SlotActive { .. })
    }

    /// Returns the process id of the slot's reader, if the slot is active and the server named it.
    pub fn slot_holder(&self) -> Option<u32> {
        match self.0.kind {
            Kind::SlotActive { pid, .. } => pid,
            _ => None,
        }
    }

    /// Returns whether the [catch-up](crate::CatchUp) cannot read the backlog, or is slower than the stream, which
    /// reads the same from [`StartAt::Confirmed`](crate::StartAt::Confirmed).
    pub fn needs_stream(&self) -> bool {
        matches!(self.0.kind, Kind::NoCopy { .. } | Kind::TransactionTooLarge { .. } | Kind::FewEnds { .. })
    }

    pub(crate) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Replaces the kind and keeps the cause.
    pub(crate) fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn protocol(part: &'static str) -> Self {
        Self::new(Kind::Protocol(part))
    }

    pub(crate) fn lost(source: io::Error) -> Self {
        Self::new(Kind::Lost).because(source)
    }

    pub(crate) fn silent(limit: Duration) -> Self {
        Self::new(Kind::Silent(limit))
    }

    pub(crate) fn hung_up() -> Self {
        Self::lost(io::Error::new(io::ErrorKind::UnexpectedEof, "PostgreSQL closed the connection"))
    }

    /// Converts an error of a connection, which may be one of TLS: by TLS 1.3 the server rejects a certificate after
    /// the handshake.
    pub(crate) fn lost_or_tls(source: io::Error) -> Self {
        match TlsFault::find(&source) {
            Some(fault) => Self::new(Kind::Tls(fault)).because(source),
            None => Self::lost(source),
        }
    }

    /// Does the same as [`lost_or_tls`](Self::lost_or_tls), if this is a lost connection.
    pub(crate) fn or_tls(self) -> Self {
        let io = self.0.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
        match io.and_then(|source| TlsFault::find(source)) {
            Some(fault) if self.0.kind == Kind::Lost => self.with_kind(Kind::Tls(fault)),
            _ => self,
        }
    }

    pub(crate) fn secret(source: outbox_net::Error) -> Self {
        Self::new(Kind::Secret).because(source)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Returns whether the server takes no connections, because it is shutting down or starting.
    pub fn is_not_accepting(&self) -> bool {
        self.server().is_some_and(ServerError::is_not_accepting)
    }

    /// Returns whether the object to create exists already, or another session creates it at the same time.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.server().is_some_and(|error| matches!(&*error.code, "42710" | "23505"))
    }

    /// Returns whether the server shuts down or starts, or an administrator has ended the connection.
    pub fn is_shutdown(&self) -> bool {
        self.server().is_some_and(|error| matches!(&*error.code, "57P01" | "57P02" | "57P03"))
    }

    /// Returns the server's message.
    fn server(&self) -> Option<&ServerError> {
        self.0.source.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<ParseLsnError> for Error {
    fn from(_: ParseLsnError) -> Self {
        Self::protocol("a position in the WAL")
    }
}

fn because_of(reason: &Option<Box<str>>) -> impl fmt::Display {
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

fn of_pid(pid: Option<u32>) -> impl fmt::Display {
    pid.map(|pid| format!(" (PID {pid})")).unwrap_or_default()
}

/// An error or a notice in PostgreSQL's words (PostgreSQL, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// The file of the server's source that reports it.
    file: Option<String>,
}

/// The operation, on which the meaning of an SQLSTATE depends. `Execute` runs statements of configurations, whose
/// values must not be in an error.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
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
    pub fn parse(body: &[u8]) -> Self {
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
    pub fn while_doing(self, doing: Operation<'_>) -> Error {
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
            (code, Operation::Connect) if SqlStateClass::from_sqlstate(code) == SqlStateClass::Authentication => {
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
    pub fn is_transient(&self) -> bool {
        let class = SqlStateClass::from_sqlstate(&self.code);
        // A server that has failed may be repaired. 55000 of a copy: its source changed meanwhile.
        class.is_transient() || class == SqlStateClass::System || self.code == "55000"
    }

    /// Returns whether the server is shutting down, or starting.
    pub fn is_not_accepting(&self) -> bool {
        self.code == "57P03"
    }

    /// Returns whether the output plugin may have reported it, and not another part of the server.
    pub fn may_be_of_plugin(&self) -> bool {
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
        for code in ["57P01", "58030", "XX000"] {
            assert!(error(code).while_doing(changes).is_transient(), "{code}");
        }
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
