use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The parts of the page that change: the id of an element, and its contents.
pub(crate) type Parts = Vec<(&'static str, String)>;

/// The newest state of the page, for all who look at it. While nobody does, no query runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    parts: watch::Sender<Arc<Parts>>,
    is_running: Mutex<bool>,
}

impl Live {
    /// Returns a receiver of the parts. Calls `start` if nothing brings them up to date.
    pub(crate) fn subscribe(&self, start: impl FnOnce()) -> watch::Receiver<Arc<Parts>> {
        let mut is_running = self.0.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receiver = self.0.parts.subscribe();
        receiver.mark_changed();
        if !std::mem::replace(&mut *is_running, true) {
            start();
        }
        receiver
    }

    /// Shows the parts to all who look at the page.
    pub(crate) fn show(&self, parts: Parts) {
        self.0.parts.send_if_modified(|shown| {
            let is_changed = **shown != parts;
            *shown = Arc::new(parts);
            is_changed
        });
    }

    /// Returns whether nobody looks at the page, or it is to stop. The next subscription then starts again.
    pub(crate) fn ends(&self, is_stopping: bool) -> bool {
        let mut is_running = self.0.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        *is_running = !self.0.parts.is_closed() && !is_stopping;
        !*is_running
    }
}
