use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::Lsn;

/// The times at which the transactions were committed that are not confirmed yet. Those of about the same time are one
/// mark.
#[derive(Debug, Default)]
pub struct CommitTimes(VecDeque<Mark>);

#[derive(Debug)]
struct Mark {
    at: SystemTime,
    last: Lsn,
}

const SAME: Duration = Duration::from_millis(500);

impl CommitTimes {
    pub fn begin(&mut self, commit: Lsn, at: SystemTime) {
        match self.0.back_mut() {
            Some(mark) if at.duration_since(mark.at).is_ok_and(|later| later < SAME) => mark.last = commit,
            _ => self.0.push_back(Mark { at, last: commit }),
        }
    }

    /// Returns when the oldest transaction was committed that begins at or after this position.
    pub fn oldest(&mut self, confirmed: Lsn) -> Option<SystemTime> {
        while self.0.front().is_some_and(|mark| mark.last < confirmed) {
            self.0.pop_front();
        }
        self.0.front().map(|mark| mark.at)
    }
}

/// The reason why the relay connects to PostgreSQL again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
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
    pub const ALL: [Self; 9] = [
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

    pub const fn name(self) -> &'static str {
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

/// A part of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatPart {
    /// The record in Kafka.
    Record,
    /// The statement in PostgreSQL (`heartbeat.action.query`).
    ActionQuery,
}

impl HeartbeatPart {
    pub const ALL: [Self; 2] = [Self::Record, Self::ActionQuery];

    /// Returns the name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::ActionQuery => "action_query",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_told_until_it_is_confirmed() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let mut marks = CommitTimes::default();
        for (commit, millis) in [(10, 0), (20, 100), (30, 9_000), (40, 9_100)] {
            marks.begin(Lsn::new(commit), at(millis));
        }
        assert_eq!(marks.0.len(), 2);
        assert_eq!(marks.oldest(Lsn::new(15)), Some(at(0)));
        assert_eq!(marks.oldest(Lsn::new(25)), Some(at(9_000)));
        assert_eq!(marks.oldest(Lsn::new(45)), None);
    }
}
