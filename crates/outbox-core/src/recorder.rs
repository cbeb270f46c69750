use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::{DomainEvent, Error, Outbox, OutboxEvent, Pipeline};

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

    /// Asserts that this event was enqueued: its type, its aggregate and its payload.
    ///
    /// # Panics
    /// It was not. The message tells which events were, without their payloads.
    #[track_caller]
    pub fn assert_enqueued<E: DomainEvent + Serialize>(&self, expected: &E) {
        let expected = OutboxEvent::of(expected).build();
        let is_same = |event: &OutboxEvent, expected: &OutboxEvent| {
            (event.aggregate_type(), event.aggregate_id()) == (expected.aggregate_type(), expected.aggregate_id())
                && (event.event_type(), event.payload()) == (expected.event_type(), expected.payload())
        };
        let events = self.lock();
        let is_there = expected.as_ref().is_ok_and(|expected| events.iter().any(|event| is_same(event, expected)));
        let asked = expected.as_ref().map_or_else(ToString::to_string, said);
        let found: Vec<_> = events.iter().map(said).collect();
        drop(events);
        assert!(is_there, "{asked} was not enqueued with this payload; enqueued were: [{}]", found.join(", "));
    }

    /// Asserts that nothing was enqueued.
    ///
    /// # Panics
    /// Something was. The message tells what, without payloads.
    #[track_caller]
    pub fn assert_nothing_enqueued(&self) {
        let found: Vec<_> = self.lock().iter().map(said).collect();
        assert!(found.is_empty(), "enqueued were: [{}]", found.join(", "));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OutboxEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(event: &OutboxEvent) -> String {
    format!("{} of {} {}", event.event_type().as_str(), event.aggregate_type().as_str(), event.aggregate_id().as_str())
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
