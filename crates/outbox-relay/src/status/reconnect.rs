/// Why the relay connects to PostgreSQL again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconnect {
    /// The connection was closed or refused.
    ConnectionLost,
    /// The server did not answer in time.
    Timeout,
    /// The server shuts down, starts, or has ended the connection (`pg_terminate_backend`).
    ServerShutdown,
    /// The server is a standby.
    Standby,
    /// The server reported another error that passes.
    ServerError,
    /// Another process may have read the slot.
    SlotTaken,
    /// A topic has other partitions, or was deleted and created again.
    TopicChanged,
    /// The publication or the table has changed.
    PublicationChanged,
    /// A backlog is streamed, or read from a copy of the slot, from now on.
    ReadPath,
}

impl Reconnect {
    pub(super) const ALL: [Self; 9] = [
        Self::ConnectionLost,
        Self::Timeout,
        Self::ServerShutdown,
        Self::Standby,
        Self::ServerError,
        Self::SlotTaken,
        Self::TopicChanged,
        Self::PublicationChanged,
        Self::ReadPath,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConnectionLost => "connection_lost",
            Self::Timeout => "timeout",
            Self::ServerShutdown => "server_shutdown",
            Self::Standby => "standby",
            Self::ServerError => "server_error",
            Self::SlotTaken => "slot_taken",
            Self::TopicChanged => "topic_changed",
            Self::PublicationChanged => "publication_changed",
            Self::ReadPath => "read_path",
        }
    }
}

impl From<&outbox_wal::Error> for Reconnect {
    fn from(error: &outbox_wal::Error) -> Self {
        if error.is_connection_lost() {
            Self::ConnectionLost
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_shutdown() {
            Self::ServerShutdown
        } else if error.is_standby() {
            Self::Standby
        } else {
            Self::ServerError
        }
    }
}
