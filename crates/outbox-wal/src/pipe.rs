use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::error::Error;
use super::frames;

/// The most bytes between a socket and its consumer; a single longer message is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u32);

impl Budget {
    pub const STREAM: Self = Self(1024 * 1024);
    /// PostgreSQL decodes no more before it has sent the decoded messages. With enough room for them, it continues
    /// while the consumer works.
    pub const CHUNK: Self = Self(6 * 1024 * 1024);
}

/// The end at the socket. It transfers whole messages, many at once.
pub struct PipeSender {
    runs: UnboundedSender<Run>,
    budget: Arc<Semaphore>,
    whole: Budget,
}

/// The end at the consumer, with the task that reads the socket.
pub struct PipeReceiver {
    runs: UnboundedReceiver<Run>,
    current: Option<Run>,
    task: Option<JoinHandle<Result<(), Error>>>,
}

struct Run {
    messages: Bytes,
    _share: OwnedSemaphorePermit,
}

/// The permit to transfer a run.
pub struct Permit(OwnedSemaphorePermit);

impl PipeSender {
    /// Creates a pipe; the task is to be given to [`PipeReceiver::run`].
    pub fn new(whole: Budget) -> (Self, PipeReceiver) {
        let (sender, runs) = mpsc::unbounded_channel();
        let budget = Arc::new(Semaphore::new(usize::try_from(whole.0).unwrap_or(Semaphore::MAX_PERMITS)));
        (Self { runs: sender, budget, whole }, PipeReceiver { runs, current: None, task: None })
    }

    /// Waits until there is room for a run of this length.
    pub async fn room(&self, length: usize) -> Option<Permit> {
        let share = u32::try_from(length).unwrap_or(self.whole.0).min(self.whole.0);
        Arc::clone(&self.budget).acquire_many_owned(share).await.ok().map(Permit)
    }

    /// Transfers a run. Returns `false` if the consumer was dropped.
    pub fn send(&self, messages: Bytes, permit: Permit) -> bool {
        self.runs.send(Run { messages, _share: permit.0 }).is_ok()
    }

    /// Returns the error of a dropped consumer.
    pub async fn closed(&self) {
        self.runs.closed().await;
    }
}

impl PipeReceiver {
    pub fn run(self, task: JoinHandle<Result<(), Error>>) -> Self {
        Self { task: Some(task), ..self }
    }

    /// Returns the body of the next message; `None` at the end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(body) = self.buffered() {
                return Ok(Some(body));
            }
            match self.runs.recv().await {
                Some(run) => self.current = Some(run),
                None => return self.end().await.map(|()| None),
            }
        }
    }

    /// Returns the body of the next message, if it was received already.
    pub fn buffered(&mut self) -> Option<Bytes> {
        loop {
            if let Some(body) = self.current.as_mut().and_then(|run| frames::take_body(&mut run.messages)) {
                return Some(body);
            }
            self.current = None;
            self.current = Some(self.runs.try_recv().ok()?);
        }
    }

    /// Lets the task end, and reports how it ended.
    pub async fn close(mut self) -> Result<(), Error> {
        self.runs.close();
        self.current = None;
        while self.runs.try_recv().is_ok() {}
        self.end().await
    }

    /// Waits until the task has ended. Nothing is lost when the future is dropped.
    pub async fn end(&mut self) -> Result<(), Error> {
        let Some(task) = self.task.as_mut() else { return Err(Error::hung_up()) };
        let outcome = task.await;
        self.task = None;
        outcome.unwrap_or_else(|error| Err(Error::lost(error.into())))
    }
}
