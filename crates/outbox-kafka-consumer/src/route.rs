use std::num::NonZeroUsize;

use crate::handler::{HandlerPolicy, Kind, Registered};

/// The handlers of one event type, in the order in which they were registered.
pub(crate) struct Route {
    handlers: Vec<Registered>,
    /// [`Kind::Together`] if at least one of the handlers takes several events at once.
    kind: Kind,
}

impl Route {
    pub(crate) fn new(handler: Registered) -> Self {
        Self { kind: handler.kind(), handlers: vec![handler] }
    }

    /// Adds a handler. Returns `false` if it cannot share the events with those that are there.
    pub(crate) fn add(&mut self, handler: Registered) -> bool {
        self.kind = match (self.kind, handler.kind()) {
            (Kind::Outside, _) | (_, Kind::Outside) => return false,
            (Kind::Each, Kind::Each) => Kind::Each,
            _ => Kind::Together,
        };
        self.handlers.push(handler);
        true
    }

    pub(crate) fn handlers(&self) -> &[Registered] {
        &self.handlers
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns how many events may share a transaction with one of this route.
    pub(crate) fn max_batch_size(&self) -> usize {
        let sizes = self.handlers.iter().filter_map(|handler| handler.policy().max_batch_size);
        sizes.min().map_or(usize::MAX, NonZeroUsize::get)
    }

    /// Returns the settings for a failure of which no single handler is the cause.
    pub(crate) fn policy(&self) -> Option<&HandlerPolicy> {
        self.handlers.first().map(Registered::policy)
    }
}
