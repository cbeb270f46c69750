use crate::Lsn;
use crate::error::Error;
use crate::progress::OutOfTurn;
use crate::rows::{DecodeError, Ignored, RowReader, WalEvent};
use crate::status::Mode;
use outbox_wal::{CatchUp, WalMessage, WalStream};

/// The WAL in order: first what the slot held when it was taken, from a copy of it, then the stream.
pub(super) struct Feed {
    stream: WalStream,
    catch_up: Option<CatchUp>,
    /// Where the catch-up ends, if the slot holds more.
    step: Option<Lsn>,
    reader: RowReader,
    /// What was read of the transaction that is being read, in bytes.
    unfinished: usize,
}

/// A transaction of more bytes is large.
const LARGE: usize = 256 * 1024;

/// What the feed gives.
pub(super) enum Fed {
    Event(WalEvent),
    /// A row whose values cannot be read.
    Unreadable(DecodeError),
    /// Nothing is left before this position.
    Idle(Lsn),
    /// A message that says nothing of the outbox.
    Nothing,
    /// The catch-up has read everything that commits before this position, and the slot holds more.
    EndOfStep(Lsn),
}

/// Why there is nothing more.
#[derive(Debug)]
pub(super) enum Broken {
    Wal(outbox_wal::Error),
    Decode(DecodeError),
    /// It is not the continuation of what was read before.
    OutOfTurn(OutOfTurn),
}

impl Feed {
    pub(super) fn new(stream: WalStream, catch_up: Option<CatchUp>, step: Option<Lsn>, reader: RowReader) -> Self {
        Self { stream, catch_up, step, reader, unfinished: 0 }
    }

    /// Waits for what comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Fed, Broken> {
        if let Some(catch_up) = &mut self.catch_up {
            let data = tokio::select! {
                biased;
                // Without the stream another reader may hold the slot.
                error = self.stream.ended() => return Err(Broken::Wal(error)),
                data = catch_up.next() => data.map_err(Broken::Wal)?,
            };
            if let Some(data) = data {
                return self.read(&data);
            }
            self.catch_up = None;
            self.reader.reset();
            return Ok(self.step.map_or(Fed::Nothing, Fed::EndOfStep));
        }
        let message = self.stream.next().await.map_err(Broken::Wal)?;
        self.message(&message)
    }

    /// Waits until the stream ends. Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) -> Broken {
        Broken::Wal(self.stream.ended().await)
    }

    /// What has come already, without waiting.
    pub(super) fn buffered(&mut self) -> Result<Option<Fed>, Broken> {
        if let Some(catch_up) = &mut self.catch_up {
            return match catch_up.buffered().map_err(Broken::Wal)? {
                Some(data) => self.read(&data).map(Some),
                None => Ok(None),
            };
        }
        match self.stream.buffered().map_err(Broken::Wal)? {
            Some(message) => self.message(&message).map(Some),
            None => Ok(None),
        }
    }

    /// Whether more is to come at once: what was read may wait for it.
    pub(super) fn is_behind(&self) -> bool {
        self.catch_up.is_some() || self.unfinished > LARGE
    }

    /// Takes the counts of changes that are no events, since the last call.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        self.reader.take_ignored()
    }

    /// The end of the server's WAL, as the stream told it last.
    pub(super) fn server(&self) -> Lsn {
        self.stream.server()
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.reader.is_in_transaction()
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
            // Its end may be the reason of this one.
            _ = catch_up.close().await;
        }
        self.stream.close().await
    }

    fn message(&mut self, message: &WalMessage) -> Result<Fed, Broken> {
        match message {
            WalMessage::Data { data, .. } => self.read(data),
            WalMessage::Keepalive { end, .. } if !self.reader.is_in_transaction() => Ok(Fed::Idle(*end)),
            WalMessage::Keepalive { .. } => Ok(Fed::Nothing),
        }
    }

    fn read(&mut self, data: &[u8]) -> Result<Fed, Broken> {
        match self.reader.read(data) {
            Ok(event) => {
                match event {
                    Some(WalEvent::Commit { .. }) => self.unfinished = 0,
                    _ => self.unfinished = self.unfinished.saturating_add(data.len()),
                }
                Ok(event.map_or(Fed::Nothing, Fed::Event))
            }
            Err(error) if error.row().is_some() => Ok(Fed::Unreadable(error)),
            Err(error) => Err(Broken::Decode(error)),
        }
    }
}

impl Broken {
    pub(super) fn into_error(self) -> Error {
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
