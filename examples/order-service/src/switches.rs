use std::sync::Arc;

use tokio::sync::watch;

/// The parts of a demonstration that can be stopped and broken, and whether each of them works.
///
/// The page turns the switches; the demonstration, and the handler, do what they say.
#[derive(Clone, Debug)]
pub struct Switches {
    /// Whether the broker answers.
    pub(crate) broker: Arc<watch::Sender<bool>>,
    /// Whether the relay runs.
    pub(crate) relay: Arc<watch::Sender<bool>>,
    /// Whether the handler can handle poison events.
    pub(crate) handler: Arc<watch::Sender<bool>>,
}

impl Default for Switches {
    /// Creates switches of a demonstration in which everything works.
    fn default() -> Self {
        let on = || Arc::new(watch::Sender::new(true));
        Self { broker: on(), relay: on(), handler: on() }
    }
}
