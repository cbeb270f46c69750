use outbox_core::record::DecodedEvent;

/// An event as a handler gets it: the payload as `E`, the envelope, and the place of the record.
///
/// A raw handler gets a `Received<()>` and reads the payload from [`envelope`](Self::envelope). A clone of the record's
/// topic is shared, so this is cheap to pass on.
#[derive(Clone, Debug)]
pub struct Received<E> {
    event: E,
    envelope: DecodedEvent,
    place: RecordPosition,
}

/// The place of a record.
#[derive(Clone, Debug)]
pub(crate) struct RecordPosition {
    pub(crate) topic: std::sync::Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) delivery: Delivery,
}

/// The attempt of a delivery, and whether a handler may have had the event before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) attempt: u32,
    pub(crate) is_redelivery: bool,
}

impl Delivery {
    pub(crate) const FIRST: Self = Self { attempt: 1, is_redelivery: false };
}

impl<E> Received<E> {
    pub(crate) fn new(event: E, envelope: DecodedEvent, place: RecordPosition) -> Self {
        Self { event, envelope, place }
    }

    /// Returns the same event with its payload read.
    pub(crate) fn with<P>(self, event: P) -> Received<P> {
        Received { event, envelope: self.envelope, place: self.place }
    }

    /// Returns the payload.
    #[must_use]
    pub fn event(&self) -> &E {
        &self.event
    }

    /// Returns the payload by value.
    #[must_use]
    pub fn into_event(self) -> E {
        self.event
    }

    /// Returns the envelope of the event: its id, type, headers, trace and time.
    #[must_use]
    pub fn envelope(&self) -> &DecodedEvent {
        &self.envelope
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.place.topic
    }

    /// Returns the partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.place.partition
    }

    /// Returns the offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.place.offset
    }

    /// Returns the number of this attempt, from 1, as the [`RetryPolicy`](crate::RetryPolicy) counts it.
    ///
    /// A repetition after a conflict, or because another event of the batch failed, is part of the same attempt. The
    /// count begins again if an operator retries a dead letter.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.place.delivery.attempt
    }

    /// Returns whether a handler may have been called with this event before.
    ///
    /// Earlier effects in the database were rolled back, but effects elsewhere may have happened. After a lost
    /// connection, or if another process was killed, this is `true` for all events that may have been begun. It is
    /// `false` for the same event in another record, which no handler gets once the event took effect.
    #[must_use]
    pub fn is_redelivery(&self) -> bool {
        self.place.delivery.is_redelivery
    }
}
