use crate::Lsn;
use crate::error::Error;
use crate::pgoutput::{DecodeError, Ignored, RowReader, WalEvent};
use crate::wal::{CatchUp, WalError, WalMessage, WalStream};

/// The WAL in order: first what the slot held when it was taken, from a copy of it, then the stream.
pub(super) struct Feed {
    stream: WalStream,
    catch_up: Option<CatchUp>,
    reader: RowReader,
}

/// What the feed gives.
pub(super) enum Fed {
    Event(WalEvent),
    /// Nothing is left before this position.
    Idle(Lsn),
    /// A message that says nothing of the outbox.
    Nothing,
}

/// Why there is nothing more.
#[derive(Debug)]
pub(super) enum Broken {
    Wal(WalError),
    Decode(DecodeError),
}

impl Feed {
    pub(super) fn new(stream: WalStream, catch_up: Option<CatchUp>, reader: RowReader) -> Self {
        Self { stream, catch_up, reader }
    }

    /// Waits for what comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Fed, Broken> {
        if let Some(catch_up) = &mut self.catch_up {
            if let Some(data) = catch_up.next().await.map_err(Broken::Wal)? {
                return self.read(&data);
            }
            self.catch_up = None;
            self.reader.reset();
            return Ok(Fed::Nothing);
        }
        let message = self.stream.next().await.map_err(Broken::Wal)?;
        self.message(&message)
    }

    /// What has come already, without waiting.
    pub(super) fn buffered(&mut self) -> Result<Option<Fed>, Broken> {
        if self.catch_up.is_some() {
            return Ok(None);
        }
        match self.stream.buffered().map_err(Broken::Wal)? {
            Some(message) => self.message(&message).map(Some),
            None => Ok(None),
        }
    }

    /// The end of a transaction is still to come.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.reader.is_in_transaction()
    }

    /// Changes other than inserts, which are left out as the EventRouter leaves them out.
    pub(super) fn ignored(&self) -> Ignored {
        self.reader.ignored()
    }

    pub(super) fn confirm(&self, lsn: Lsn) {
        self.stream.confirm(lsn);
    }

    /// Ends the reading, and gives back the slot.
    pub(super) async fn close(self) -> Result<(), WalError> {
        if let Some(catch_up) = self.catch_up {
            catch_up.close().await?;
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
        Ok(self.reader.read(data).map_err(Broken::Decode)?.map_or(Fed::Nothing, Fed::Event))
    }
}

impl Broken {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Wal(e) => Error::wal(e),
            Self::Decode(e) => match e.row() {
                Some(at) => Error::poison(at, None, "its values cannot be read").caused_by(e),
                None => Error::wal(e),
            },
        }
    }
}
