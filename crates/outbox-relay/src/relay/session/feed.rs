use crate::Lsn;
use crate::error::Error;
use crate::position::Position;
use crate::progress::OutOfTurn;
use crate::rows::{DecodeError, Ignored, RowReader, WalEvent};
use crate::status::Mode;
use outbox_wal::{CatchUp, WalMessage, WalStream};

/// The WAL in order: first what the slot held when it was taken, from a copy of it, then the stream.
pub(in crate::relay) struct ChangeFeed {
    stream: WalStream,
    catch_up: Option<CatchUp>,
    /// The end of the catch-up, if the slot holds more.
    step_end: Option<Lsn>,
    rows: RowReader,
    /// The bytes that were read of the open transaction.
    unfinished: usize,
}

/// A transaction of more bytes is large.
const LARGE: usize = 256 * 1024;

/// A change that was read from the WAL.
pub(super) enum Change {
    Event(WalEvent),
    /// A row whose values cannot be read.
    Unreadable(Position, DecodeError),
    /// Everything before this position was read.
    Idle(Lsn),
    /// The catch-up has read everything that commits before this position, and the slot holds more.
    EndOfStep(Lsn),
}

/// The reason why no more changes can be read.
#[derive(Debug)]
pub(in crate::relay) enum FeedError {
    Wal(outbox_wal::Error),
    Decode(DecodeError),
    /// A change is not the continuation of those before it.
    OutOfTurn(OutOfTurn),
}

/// A message that was read: its bytes, and its change if it has one.
pub(super) type Read = (usize, Option<Change>);

impl ChangeFeed {
    pub(in crate::relay) fn new(
        stream: WalStream,
        catch_up: Option<CatchUp>,
        step_end: Option<Lsn>,
        rows: RowReader,
    ) -> Self {
        Self { stream, catch_up, step_end, rows, unfinished: 0 }
    }

    /// Waits for the next message. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Read, FeedError> {
        if let Some(event) = self.rows.take_pending() {
            return Ok((0, self.change(event.map(Some), 0)?));
        }
        if let Some(catch_up) = &mut self.catch_up {
            let data = tokio::select! {
                biased;
                // Without the stream another process may hold the slot.
                error = self.stream.ended() => return Err(FeedError::Wal(error)),
                data = catch_up.next() => data.map_err(FeedError::Wal)?,
            };
            if let Some(data) = data {
                return self.data(&data);
            }
            self.catch_up = None;
            self.rows.reset();
            return Ok((0, self.step_end.map(Change::EndOfStep)));
        }
        let message = self.stream.next().await.map_err(FeedError::Wal)?;
        self.message(&message)
    }

    /// Returns the next message, if it was received already.
    pub(super) fn buffered(&mut self) -> Result<Option<Read>, FeedError> {
        if let Some(event) = self.rows.take_pending() {
            return Ok(Some((0, self.change(event.map(Some), 0)?)));
        }
        if let Some(catch_up) = &mut self.catch_up {
            return match catch_up.buffered().map_err(FeedError::Wal)? {
                Some(data) => self.data(&data).map(Some),
                None => Ok(None),
            };
        }
        match self.stream.buffered().map_err(FeedError::Wal)? {
            Some(message) => self.message(&message).map(Some),
            None => Ok(None),
        }
    }

    /// Waits until the stream ends, and returns the reason. Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) -> outbox_wal::Error {
        self.stream.ended().await
    }

    /// Returns whether more changes follow at once.
    pub(super) fn is_behind(&self) -> bool {
        self.catch_up.is_some() || self.unfinished > LARGE
    }

    /// Returns the counts of changes that are no events since the last call.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        self.rows.take_ignored()
    }

    /// Returns the end of the server's WAL, as the stream reported it last.
    pub(super) fn wal_end(&self) -> Lsn {
        self.stream.server()
    }

    pub(super) fn mode(&self) -> Mode {
        if self.catch_up.is_some() { Mode::CatchUp } else { Mode::Live }
    }

    pub(super) fn confirm(&self, lsn: Lsn) {
        self.stream.confirm(lsn);
    }

    /// Ends the reading, and gives back the slot.
    pub(super) async fn close(self) -> Result<(), outbox_wal::Error> {
        if let Some(catch_up) = self.catch_up {
            // Its error may be the reason for the close.
            _ = catch_up.close().await;
        }
        self.stream.close().await
    }

    fn message(&mut self, message: &WalMessage) -> Result<Read, FeedError> {
        match message {
            WalMessage::Data { data, .. } => self.data(data),
            // Within a transaction its LSN says nothing of what was received.
            WalMessage::Keepalive { end, .. } => {
                Ok((0, (!self.rows.is_in_transaction()).then_some(Change::Idle(*end))))
            }
        }
    }

    fn data(&mut self, data: &[u8]) -> Result<Read, FeedError> {
        let event = self.rows.read(data);
        Ok((data.len(), self.change(event, data.len())?))
    }

    fn change(
        &mut self,
        event: Result<Option<WalEvent>, DecodeError>,
        bytes: usize,
    ) -> Result<Option<Change>, FeedError> {
        match event {
            Ok(event) => {
                match event {
                    Some(WalEvent::Commit { .. }) => self.unfinished = 0,
                    _ => self.unfinished = self.unfinished.saturating_add(bytes),
                }
                Ok(event.map(Change::Event))
            }
            Err(error) => match error.row() {
                Some(position) => Ok(Some(Change::Unreadable(position, error))),
                None => Err(FeedError::Decode(error)),
            },
        }
    }
}

impl FeedError {
    pub(in crate::relay) fn into_error(self) -> Error {
        match self {
            Self::Wal(e) => Error::wal(e),
            Self::Decode(e) => match e.forbidden_in() {
                Some(commit) => Error::forbidden(commit).caused_by(e),
                None => Error::wal(e),
            },
            Self::OutOfTurn(e) => Error::wal(e),
        }
    }
}
