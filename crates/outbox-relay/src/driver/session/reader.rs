use std::future::pending;
use std::time::SystemTime;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use crate::Lsn;
use crate::error::Error;
use crate::position::Position;
use crate::progress::OutOfTurn;
use crate::rows::{DecodeError, Ignored, RowReader, WalEvent};
use crate::status::Mode;
use outbox_wal::{CatchUp, WalMessage, WalStream};

/// The task that reads the WAL and decodes its rows, at most one run ahead of the planner.
///
/// It holds the slot until it is closed. If it is dropped, it releases the slot in the background.
pub struct WalReader {
    /// Ends after the last run.
    runs: Option<Receiver<Run>>,
    /// The task that ends with the error of a failed stream.
    task: Option<JoinHandle<Result<(), outbox_wal::Error>>>,
    stop: oneshot::Sender<()>,
}

/// Consecutive changes that were read without waiting.
pub struct Run {
    pub changes: Vec<Change>,
    pub end: RunEnd,
    pub mode: Mode,
    /// The counts of changes that are no events.
    pub ignored: Ignored,
    /// The end of the server's WAL.
    pub wal_end: Lsn,
    pub read_at: SystemTime,
}

/// The step after a run.
pub enum RunEnd {
    /// More changes follow at once, so rows may wait for them.
    Behind,
    /// More changes may follow at any time.
    Current,
    /// Nothing follows in this session.
    Last(Option<FeedError>),
}

/// The size of a run in bytes. A run is in memory twice, as WAL and as rows. A small run costs little, because several
/// runs may fill one batch.
const RUN_BYTES: usize = 128 * 1024;
const RUN_MESSAGES: usize = 1_024;

impl WalReader {
    /// Starts to read. Positions of `confirmed` are confirmed to PostgreSQL.
    pub fn start(feed: ChangeFeed, confirmed: watch::Receiver<Lsn>) -> Self {
        let (sender, runs) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(read(feed, sender, confirmed, stopped).in_current_span());
        Self { runs: Some(runs), task: Some(task), stop }
    }

    /// Waits for the next run. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Run, FeedError> {
        let run = match &mut self.runs {
            Some(runs) => runs.recv().await,
            None => None,
        };
        match run {
            Some(run) => {
                if matches!(run.end, RunEnd::Last(_)) {
                    self.runs = None;
                }
                Ok(run)
            }
            None => Err(self.lost().await),
        }
    }

    /// Waits until the stream has failed, even if its runs are not received. Nothing is lost when the future is
    /// dropped.
    pub async fn lost(&mut self) -> FeedError {
        if let Some(task) = &mut self.task {
            let ended = task.await;
            (self.task, self.runs) = (None, None);
            if let Err(error) = outcome(ended) {
                return FeedError::Wal(error);
            }
        }
        pending().await
    }

    /// Returns whether more runs may come.
    pub fn has_more(&self) -> bool {
        self.runs.is_some()
    }

    /// Confirms the remaining positions, and releases the slot.
    pub async fn close(mut self) -> Result<(), outbox_wal::Error> {
        _ = self.stop.send(());
        match self.task.take() {
            Some(task) => outcome(task.await),
            None => Ok(()),
        }
    }
}

/// Returns how the task has ended. A panic in the task becomes a panic of the session.
fn outcome(ended: Result<Result<(), outbox_wal::Error>, JoinError>) -> Result<(), outbox_wal::Error> {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Ok(()),
    })
}

/// Reads until the feed ends or the session stops it. After the last run it still confirms positions, because rows of
/// it may be in flight.
async fn read(
    mut feed: ChangeFeed,
    runs: Sender<Run>,
    mut confirmed: watch::Receiver<Lsn>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), outbox_wal::Error> {
    let mut runs = Some(runs);
    loop {
        tokio::select! {
            biased;
            close = &mut stopped => {
                feed.confirm(*confirmed.borrow());
                return match close {
                    Ok(()) => feed.close().await,
                    Err(_) => Ok(()),
                };
            }
            Ok(()) = confirmed.changed() => feed.confirm(*confirmed.borrow_and_update()),
            sent = send_next(&mut feed, runs.as_ref()) => {
                if sent? == Sent::Last {
                    runs = None;
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Sent {
    More,
    Last,
}

/// Reads the next run once there is room for it. While there is none, and after the last run, the stream may still end.
async fn send_next(feed: &mut ChangeFeed, runs: Option<&Sender<Run>>) -> Result<Sent, outbox_wal::Error> {
    let room = async {
        match runs {
            Some(runs) => runs.reserve().await,
            None => pending().await,
        }
    };
    let room = tokio::select! {
        biased;
        room = room => room,
        error = feed.ended() => return Err(error),
    };
    // Without a receiver the session has ended.
    let Ok(room) = room else { return pending().await };

    let run = Run::read(feed).await;
    let sent = if matches!(run.end, RunEnd::Last(_)) { Sent::Last } else { Sent::More };
    room.send(run);
    Ok(sent)
}

impl Run {
    /// Waits for a message, and takes the messages after it that were received already.
    async fn read(feed: &mut ChangeFeed) -> Self {
        let mut read = feed.next().await.map(Some);
        let (mut changes, mut bytes, mut messages) = (Vec::new(), 0, 0);
        let end = loop {
            match read {
                Ok(Some((length, change))) => {
                    bytes += length;
                    messages += 1;
                    let is_last = matches!(change, Some(Change::EndOfStep(_)));
                    changes.extend(change);
                    if is_last {
                        break RunEnd::Last(None);
                    }
                }
                Ok(None) if feed.is_behind() => break RunEnd::Behind,
                Ok(None) => break RunEnd::Current,
                Err(error) => break RunEnd::Last(Some(error)),
            }
            if bytes >= RUN_BYTES || messages >= RUN_MESSAGES {
                break RunEnd::Behind;
            }
            read = feed.buffered();
        };

        Self {
            changes,
            end,
            mode: feed.mode(),
            ignored: feed.take_ignored(),
            wal_end: feed.wal_end(),
            read_at: outbox_net::wall_clock(),
        }
    }
}

/// The WAL in order: first the backlog of the slot, from a copy of it, and then the stream.
pub struct ChangeFeed {
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
pub enum Change {
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
pub enum FeedError {
    Wal(outbox_wal::Error),
    Decode(DecodeError),
    /// A change does not continue those before it.
    OutOfTurn(OutOfTurn),
}

/// A message that was read: its bytes, and its change if it has one.
pub type Read = (usize, Option<Change>);

impl ChangeFeed {
    pub fn new(stream: WalStream, catch_up: Option<CatchUp>, step_end: Option<Lsn>, rows: RowReader) -> Self {
        Self { stream, catch_up, step_end, rows, unfinished: 0 }
    }

    /// Waits for the next message. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Read, FeedError> {
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
    pub fn buffered(&mut self) -> Result<Option<Read>, FeedError> {
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
    pub async fn ended(&mut self) -> outbox_wal::Error {
        self.stream.ended().await
    }

    /// Returns whether more changes follow at once.
    pub fn is_behind(&self) -> bool {
        self.catch_up.is_some() || self.unfinished > LARGE
    }

    /// Returns the counts of changes that are no events since the last call.
    pub fn take_ignored(&mut self) -> Ignored {
        self.rows.take_ignored()
    }

    /// Returns the end of the server's WAL, as the stream reported it last.
    pub fn wal_end(&self) -> Lsn {
        self.stream.wal_end()
    }

    pub fn mode(&self) -> Mode {
        if self.catch_up.is_some() { Mode::CatchUp } else { Mode::Live }
    }

    pub fn confirm(&self, lsn: Lsn) {
        self.stream.confirm(lsn);
    }

    /// Ends the reading, and gives back the slot.
    pub async fn close(self) -> Result<(), outbox_wal::Error> {
        if let Some(catch_up) = self.catch_up {
            // Its error may be the cause of the close.
            _ = catch_up.close().await;
        }
        self.stream.close().await
    }

    fn message(&mut self, message: &WalMessage) -> Result<Read, FeedError> {
        match message {
            WalMessage::Data { data, .. } => self.data(data),
            // Within a transaction, its LSN does not show what was received.
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
    pub fn into_error(self) -> Error {
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
