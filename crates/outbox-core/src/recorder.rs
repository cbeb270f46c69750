use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DomainEvent, Error, EventKind, Outbox, OutboxEvent, Payload, Pipeline};

/// An outbox in memory, for the tests of services. It stores enqueued events and applies the rules of a pipeline.
///
/// It takes any transaction and knows nothing of commit and rollback. Clones share the recorded events.
#[derive(Clone, Debug)]
pub struct RecordingOutbox {
    pipeline: Pipeline,
    events: Arc<Mutex<Vec<OutboxEvent>>>,
}

impl RecordingOutbox {
    /// Creates an empty recorder that rejects the events that the pipeline rejects.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, events: Arc::default() }
    }

    /// Returns the events that were enqueued, in order.
    #[must_use]
    pub fn events(&self) -> Vec<OutboxEvent> {
        self.lock().clone()
    }

    /// Asserts that this event was enqueued: its type, its aggregate and its payload.
    ///
    /// # Panics
    /// It was not. The message reports which events were, without their payloads.
    #[track_caller]
    pub fn assert_enqueued<E: DomainEvent + Serialize>(&self, expected: &E) {
        let expected = OutboxEvent::from_event(expected).build();
        let is_same = |event: &OutboxEvent, expected: &OutboxEvent| {
            (event.aggregate_type(), event.aggregate_id()) == (expected.aggregate_type(), expected.aggregate_id())
                && event.event_type() == expected.event_type()
                && is_same_payload(event.payload(), expected.payload())
        };
        let is_there = expected.as_ref().is_ok_and(|expected| self.lock().iter().any(|event| is_same(event, expected)));
        let asked = expected.as_ref().map_or_else(ToString::to_string, said);
        assert!(is_there, "{asked} was not enqueued with this payload; enqueued were: [{}]", self.all_said());
    }

    /// Asserts that an event of this type was enqueued for which the predicate holds.
    ///
    /// ```
    /// # use outbox_core::{DomainEvent, Outbox, OutboxEvent, Pipeline, RecordingOutbox};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct OrderCreated { order_id: u64, quantity: u32 }
    /// # impl DomainEvent for OrderCreated {
    /// #     const AGGREGATE_TYPE: &'static str = "order";
    /// #     const EVENT_TYPE: &'static str = "OrderCreated";
    /// #     fn aggregate_id(&self) -> String { self.order_id.to_string() }
    /// # }
    /// # let outbox = RecordingOutbox::new(Pipeline::recommended());
    /// # let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, quantity: 2 }).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(outbox.enqueue((), &event)).unwrap();
    /// outbox.assert_enqueued_where::<OrderCreated>(|order| order.quantity == 2);
    /// ```
    ///
    /// # Panics
    /// No such event was enqueued. The message reports which events were enqueued, without their payloads.
    #[track_caller]
    pub fn assert_enqueued_where<E: DomainEvent + DeserializeOwned>(&self, is_meant: impl Fn(&E) -> bool) {
        let is_there = self.enqueued::<E>().iter().any(is_meant);
        assert!(is_there, "no such {} was enqueued; enqueued were: [{}]", name_of::<E>(), self.all_said());
    }

    /// Asserts that no event of this type was enqueued.
    ///
    /// # Panics
    /// One was. The message reports which events were enqueued, without their payloads.
    #[track_caller]
    pub fn assert_not_enqueued<E: DomainEvent>(&self) {
        let is_there = self.lock().iter().any(is_of::<E>);
        assert!(!is_there, "{} was enqueued; enqueued were: [{}]", name_of::<E>(), self.all_said());
    }

    /// Returns the events of this type that were enqueued, in order, read back from their payloads.
    ///
    /// # Panics
    /// A payload is not the JSON of an `E`, although it was enqueued under its name.
    #[track_caller]
    #[must_use]
    pub fn enqueued<E: DomainEvent + DeserializeOwned>(&self) -> Vec<E> {
        let read = |event: &OutboxEvent| match event.payload() {
            Payload::Json(text) => kind_in::<E>(event)?.read(text.as_str().as_bytes()).ok(),
            _ => None,
        };
        let events: Option<Vec<E>> = self.lock().iter().filter(|event| is_of::<E>(event)).map(read).collect();
        let is_read = events.is_some();
        assert!(is_read, "the payload of a {} is not the JSON of {}", name_of::<E>(), std::any::type_name::<E>());
        events.unwrap_or_default()
    }

    /// Asserts that nothing was enqueued.
    ///
    /// # Panics
    /// Something was. The message reports what, without payloads.
    #[track_caller]
    pub fn assert_nothing_enqueued(&self) {
        let is_empty = self.lock().is_empty();
        assert!(is_empty, "enqueued were: [{}]", self.all_said());
    }

    fn all_said(&self) -> String {
        self.lock().iter().map(said).collect::<Vec<_>>().join(", ")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OutboxEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of<E: DomainEvent>(event: &OutboxEvent) -> bool {
    kind_in::<E>(event).is_some()
}

fn kind_in<E: DomainEvent>(event: &OutboxEvent) -> Option<EventKind> {
    let () = E::LEGAL;
    let kinds = if event.aggregate_type().as_str() == E::AGGREGATE_TYPE { E::KINDS } else { &[] };
    kinds.iter().find(|kind| kind.event_type() == event.event_type().as_str()).copied()
}

fn name_of<E: DomainEvent>() -> String {
    format!("{} of {}", E::EVENT_TYPE, E::AGGREGATE_TYPE)
}

fn is_same_payload(one: &Payload, other: &Payload) -> bool {
    match (one, other) {
        (Payload::Json(one), Payload::Json(other)) => is_same_json(one.as_str(), other.as_str()),
        _ => one == other,
    }
}

/// Returns whether two texts are the same JSON, in whichever order a map has written its members. Numbers and strings
/// are compared as they are written.
fn is_same_json(one: &str, other: &str) -> bool {
    fn parsed<'a, T: Deserialize<'a>>(one: &'a str, other: &'a str) -> Option<(T, T)> {
        Some((serde_json::from_str(one).ok()?, serde_json::from_str(other).ok()?))
    }

    if one == other {
        return true;
    }
    if let Some((one, other)) = parsed::<BTreeMap<String, &RawValue>>(one, other) {
        let are_same = |(one, other): ((&String, &&RawValue), (&String, &&RawValue))| {
            one.0 == other.0 && is_same_json(one.1.get(), other.1.get())
        };
        return one.len() == other.len() && one.iter().zip(&other).all(are_same);
    }
    let Some((one, other)) = parsed::<Vec<&RawValue>>(one, other) else { return false };
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_same_json(one.get(), other.get()))
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
