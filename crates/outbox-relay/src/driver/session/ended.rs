use super::reader::FeedError;
use crate::error::Error;
use crate::rows::DecodeError;
use crate::status::Reconnect;

/// The way in which a session ended.
pub enum SessionEnd {
    /// On request, after everything that was sent was confirmed.
    Drained,
    /// All state is out of date, so the start procedure runs again.
    Restart(FeedError),
    /// A topic has other partitions, or was created again.
    TopicChanged(Box<str>),
    /// The publication or the table has changed: rows may have to be read in another way.
    Republished,
    /// A table with this OID is included and new.
    NewTable(u32),
    /// Another process may hold the slot.
    Lost,
    /// A transaction is so large that the stream must send the rest.
    ToStream,
    /// A copy of the slot is faster for the rest of the backlog.
    ToCopy,
    /// One step of the catch-up is done.
    NextStep,
}

impl SessionEnd {
    /// Returns how a session ends that cannot read any more.
    pub fn from_feed(error: FeedError) -> Result<Self, Error> {
        match &error {
            FeedError::OutOfTurn(_) => Ok(Self::Restart(error)),
            FeedError::Wal(e) if e.is_transient() => Ok(Self::Restart(error)),
            FeedError::Wal(e) if e.needs_stream() => Ok(Self::ToStream),
            FeedError::Decode(DecodeError::NewTable { oid }) => Ok(Self::NewTable(*oid)),
            _ => Err(error.into_error()),
        }
    }

    /// Returns whether the slot is still held, so that it must be released.
    pub fn holds_slot(&self) -> bool {
        !matches!(self, Self::Restart(_) | Self::Lost)
    }

    /// Returns whether another way of reading continues where this session ends, after everything read was confirmed.
    pub fn is_change_of_reading(&self) -> bool {
        matches!(self, Self::ToStream | Self::ToCopy | Self::NextStep)
    }

    /// Returns why the relay connects to PostgreSQL again, if it does.
    pub fn reconnect(&self) -> Option<Reconnect> {
        Some(match self {
            Self::Drained | Self::NextStep => return None,
            Self::Restart(FeedError::Wal(error)) => error.into(),
            Self::Restart(_) | Self::Lost => Reconnect::SlotTaken,
            Self::TopicChanged(_) => Reconnect::TopicChanged,
            Self::Republished | Self::NewTable(_) => Reconnect::PublicationChanged,
            Self::ToStream | Self::ToCopy => Reconnect::ReadPath,
        })
    }
}
