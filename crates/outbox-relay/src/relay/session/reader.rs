use std::future::pending;
use std::time::SystemTime;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use super::feed::{Change, ChangeFeed, FeedError};
use crate::Lsn;
use crate::rows::Ignored;
use crate::status::Mode;

/// The task that reads the WAL and decodes its rows, at most one run ahead of the planner.
///
/// It holds the slot until it is closed. After a drop it gives back the slot in the background.
pub(super) struct WalReader {
    /// Ends after the last run.
    runs: Option<Receiver<Run>>,
    /// Ends with the error of a stream that has broken off.
    task: Option<JoinHandle<Result<(), outbox_wal::Error>>>,
    stop: oneshot::Sender<()>,
}

/// Consecutive changes that were read without waiting.
pub(super) struct Run {
    pub(super) changes: Vec<Change>,
    pub(super) end: RunEnd,
    pub(super) mode: Mode,
    /// The counts of changes that are no events.
    pub(super) ignored: Ignored,
    /// The end of the server's WAL.
    pub(super) wal_end: Lsn,
    pub(super) read_at: SystemTime,
}

/// The step after a run.
pub(super) enum RunEnd {
    /// More changes follow at once, so rows may wait for them.
    Behind,
    /// More changes may follow at any time.
    Current,
    /// Nothing follows in this session.
    Last(Option<FeedError>),
}

/// The size of a run. Several runs may make one batch, so a small one costs little, and it stays in memory twice: as
/// WAL and as rows.
const RUN_BYTES: usize = 128 * 1024;
const RUN_MESSAGES: usize = 1_024;

impl WalReader {
    /// Starts to read. Positions of `confirmed` are confirmed to PostgreSQL.
    pub(super) fn start(feed: ChangeFeed, confirmed: watch::Receiver<Lsn>) -> Self {
        let (sender, runs) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(read(feed, sender, confirmed, stopped).in_current_span());
        Self { runs: Some(runs), task: Some(task), stop }
    }

    /// Waits for the next run. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Run, FeedError> {
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

    /// Waits until the stream has broken off, also while nobody takes its runs. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn lost(&mut self) -> FeedError {
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
    pub(super) fn has_more(&self) -> bool {
        self.runs.is_some()
    }

    /// Confirms what is to be confirmed, and gives back the slot.
    pub(super) async fn close(mut self) -> Result<(), outbox_wal::Error> {
        _ = self.stop.send(());
        match self.task.take() {
            Some(task) => outcome(task.await),
            None => Ok(()),
        }
    }
}

/// Returns how the task has ended. A panic in it becomes one of the session.
fn outcome(ended: Result<Result<(), outbox_wal::Error>, JoinError>) -> Result<(), outbox_wal::Error> {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Ok(()),
    })
}

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
            read_at: SystemTime::now(),
        }
    }
}
