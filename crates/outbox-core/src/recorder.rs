use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Outbox, OutboxEvent, Pipeline};

/// An outbox in memory, for the tests of services: it keeps what was enqueued, under the rules of a pipeline.
///
/// It takes any transaction and knows nothing of commit and rollback. Clones share what they record.
#[derive(Clone, Debug)]
pub struct RecordingOutbox {
    pipeline: Pipeline,
    events: Arc<Mutex<Vec<OutboxEvent>>>,
}

impl RecordingOutbox {
    /// An empty recorder that refuses what the pipeline refuses.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, events: Arc::default() }
    }

    /// What was enqueued so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<OutboxEvent> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OutboxEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Tx: Send> Outbox<Tx> for RecordingOutbox {
    async fn enqueue(&self, tx: Tx, event: &OutboxEvent) -> Result<(), Error> {
        self.enqueue_all(tx, std::slice::from_ref(event)).await
    }

    async fn enqueue_all(&self, _tx: Tx, events: &[OutboxEvent]) -> Result<(), Error> {
        for event in events {
            self.pipeline.row(event)?;
        }
        self.lock().extend_from_slice(events);
        Ok(())
    }
}
