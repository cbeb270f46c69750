use std::fmt;
use std::io;

use outbox_net::TlsFault;

use super::server_error::ServerError;
use crate::lsn::ParseLsnError;

/// Why the WAL cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// Another reader holds the slot: a standby waits for it.
    #[error("the replication slot {slot:?} is held by another process{}", of_pid(.pid))]
    SlotActive {
        /// The slot's name.
        slot: Box<str>,
        /// The reader's process id, if the server named it.
        pid: Option<u32>,
    },
    /// The slot does not exist, has another plugin or belongs to another database.
    #[error("the replication slot {slot:?} does not exist, or is not one of pgoutput in this database")]
    SlotMissing {
        /// The slot's name.
        slot: Box<str>,
    },
    /// The slot sends transactions before they commit.
    #[error(
        "the replication slot {slot:?} was created with two_phase = true, and sends prepared transactions before they \
         commit: create a slot without it"
    )]
    TwoPhase {
        /// The slot's name.
        slot: Box<str>,
    },
    /// WAL that the slot had still to read is gone.
    #[error("the replication slot {slot:?} is lost: PostgreSQL has removed WAL that it had still to read")]
    SlotLost {
        /// The slot's name.
        slot: Box<str>,
        /// The cause.
        source: Option<ServerError>,
    },
    /// It is a standby's copy, which nobody may read until the standby is promoted.
    #[error("the replication slot {slot:?} is kept for a primary: the server is its standby")]
    Standby {
        /// The slot's name.
        slot: Box<str>,
        /// The cause.
        source: Option<ServerError>,
    },
    /// Rows of the time before it was created can never be read through it.
    #[error(
        "the publication {publication:?} does not exist, or did not when a row was written that is still to be read"
    )]
    PublicationMissing {
        /// The publication's name.
        publication: Box<str>,
    },
    /// A copy of the slot needs a free one; the stream does not.
    #[error("no replication slot is free for a copy of {slot:?} (max_replication_slots)")]
    NoFreeSlot {
        /// The slot's name.
        slot: Box<str>,
        /// The cause.
        source: ServerError,
    },
    /// One transaction is more than the server should keep at once; the stream has no such limit.
    #[error("a transaction after {after} is too large to be read at once")]
    TransactionTooLarge {
        /// The last commit that was read.
        after: crate::Lsn,
    },
    /// Nothing, or little, has ended in much WAL: the stream begins to send a large transaction earlier.
    #[error("little has ended in the WAL before {until}")]
    FewEnds {
        /// Where the stream begins.
        until: crate::Lsn,
    },
    /// The role has no REPLICATION attribute.
    #[error("the role lacks a right (REPLICATION)")]
    NotPermitted {
        /// The cause.
        source: ServerError,
    },
    /// The server rejected the user or the password.
    #[error("PostgreSQL refused the user or the password: check both, and the line of pg_hba.conf for this host")]
    Authentication {
        /// The cause.
        source: ServerError,
    },
    /// The server asks for a password that was not given.
    #[error("PostgreSQL asks for a password, or for a way to prove it, that there is none of")]
    NoPassword,
    /// The server's SCRAM proof is wrong.
    #[error("PostgreSQL could not prove that it knows the password")]
    Impostor {
        /// The cause.
        source: io::Error,
    },
    /// The server does not offer TLS.
    #[error("PostgreSQL offers no TLS: set ssl = on in its configuration, or a mode that does not demand TLS")]
    TlsRefused,
    /// One side rejected the TLS connection.
    #[error("PostgreSQL cannot be reached by TLS: {fault}")]
    Tls {
        /// The fault, with the remedy.
        fault: TlsFault,
        /// The cause.
        source: io::Error,
    },
    /// The host is no name that a certificate can have.
    #[error("the host {host:?} is neither a name nor an address that TLS can check")]
    TlsName {
        /// The host.
        host: Box<str>,
    },
    /// The password, a certificate or a key cannot be read.
    #[error("the password or a certificate for PostgreSQL is not usable")]
    Secret {
        /// The cause, with the remedy.
        source: outbox_net::Error,
    },
    /// The connection is lost.
    #[error("the connection to PostgreSQL is lost")]
    Lost {
        /// The cause.
        source: io::Error,
    },
    /// The server reported an error.
    #[error("PostgreSQL reported an error")]
    Server {
        /// The cause.
        source: ServerError,
    },
    /// The server sent a message that the protocol does not allow.
    #[error("PostgreSQL said what its protocol does not know: {0}")]
    Protocol(&'static str),
}

impl WalError {
    /// Whether it may be otherwise in a while without anybody's help. A slot that is held is not among these.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Standby { .. } => true,
            Self::Server { source } => source.is_transient(),
            _ => false,
        }
    }

    /// Returns whether the server takes no connections, because it is shutting down or starting.
    pub fn is_not_accepting(&self) -> bool {
        matches!(self, Self::Server { source } if source.is_not_accepting())
    }

    pub(super) fn lost(source: io::Error) -> Self {
        Self::Lost { source }
    }

    pub(super) fn hung_up() -> Self {
        Self::lost(io::Error::new(io::ErrorKind::UnexpectedEof, "PostgreSQL closed the connection"))
    }

    /// An error of a connection, which may be one of TLS: by TLS 1.3 the server rejects a certificate after the handshake.
    pub(super) fn lost_or_tls(source: io::Error) -> Self {
        match TlsFault::find(&source) {
            Some(fault) => Self::Tls { fault, source },
            None => Self::lost(source),
        }
    }

    /// See [`lost_or_tls`](Self::lost_or_tls).
    pub(super) fn or_tls(self) -> Self {
        match self {
            Self::Lost { source } => Self::lost_or_tls(source),
            other => other,
        }
    }

    pub(super) fn secret(source: outbox_net::Error) -> Self {
        Self::Secret { source }
    }

    /// Returns whether the server rejected the login or the TLS handshake, or a secret or a certificate is not usable.
    /// Secrets and certificates may be renewed while the process runs.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            Self::Authentication { .. }
                | Self::NoPassword
                | Self::Impostor { .. }
                | Self::TlsRefused
                | Self::Tls { .. }
                | Self::TlsName { .. }
                | Self::Secret { .. }
        )
    }
}

impl From<ParseLsnError> for WalError {
    fn from(_: ParseLsnError) -> Self {
        Self::Protocol("a position in the WAL")
    }
}

fn of_pid(pid: &Option<u32>) -> impl fmt::Display {
    pid.map(|pid| format!(" (PID {pid})")).unwrap_or_default()
}
