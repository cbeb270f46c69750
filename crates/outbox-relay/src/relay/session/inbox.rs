use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use super::report::Report;

/// The channel over which the tasks of a session report to it.
#[derive(Clone)]
pub(super) struct Inbox(UnboundedSender<Report>);

/// A task of a session. It is aborted when this value is dropped.
pub(super) struct Task(AbortHandle);

impl Inbox {
    pub(super) fn new() -> (Self, UnboundedReceiver<Report>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends a report. After the end of the session nobody needs it.
    pub(super) fn send(&self, report: Report) {
        _ = self.0.send(report);
    }

    /// Starts a task in the current span. A panic in it becomes one of the session.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let inbox = self.clone();
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                inbox.send(Report::Panicked(panic));
            }
        };
        Task(tokio::spawn(guarded.in_current_span()).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
