use outbox_net::ErrorChain;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Transaction};
use futures_util::FutureExt as _;
use outbox_core::{DecodeHints, Decoded, DecodedEvent};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::failed::{Failed, Fault};
use super::item::{Item, Todo};
use super::lane::{Lane, behind};
use super::measure;
use crate::handler::Registered;
use crate::protocol::{FailureKind, Move, is_rejected_commit};
use crate::received::Place;
use crate::source::Message;
use crate::store::{Entry, NewlyHeld};
use crate::{Error, Isolation};

impl Lane {
    /// One transaction: the events are taken into the inbox, those that are new and whose key is free are handled, the
    /// others of a blocked key are parked; the fence; COMMIT.
    pub(super) async fn attempt(&self, items: &mut [Item]) -> Result<(), Fault> {
        self.attempt_after(0, items).await
    }

    /// As [`attempt`](Self::attempt), after so many conflicts.
    pub(super) async fn attempt_after(&self, conflicts: u32, items: &mut [Item]) -> Result<(), Fault> {
        let _turn = self.turn(conflicts).await;
        let mut client = self.shared.store.connection().await.map_err(Fault::Store)?;
        match self.attempt_on(&mut client, items).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.clean_up(client, fault).await),
        }
    }

    async fn attempt_on(&self, client: &mut Object, items: &mut [Item]) -> Result<(), Fault> {
        let (store, isolation) = (&self.shared.store, self.shared.options.isolation);
        let begun = Instant::now();
        let mut tx =
            store.in_time(client.transaction()).await.map_err(|e| Fault::of_store("begin a transaction", e))?;
        let entries: Vec<Entry> = items.iter().map(Item::entry).collect();
        let taken = store.begin(&tx, self.dealt.fence, &self.dealt.topic, &entries, isolation).await;
        let mut taken = taken.map_err(|e| Fault::of_store("take events into the inbox", e))?;
        let mut parked = Vec::new();
        let (mut handled, mut duplicates) = (0, 0);
        for item in items.iter_mut() {
            if !item.id.is_some_and(|id| taken.new.remove(&id)) {
                duplicates += 1;
                continue;
            }
            if item.message.key().is_some_and(|key| taken.blocked.contains(key)) {
                parked.push(&*item);
                continue;
            }
            tx = self.handle(tx, item).await?;
            handled += 1;
        }
        if !parked.is_empty() && handled > 0 {
            let changed = self.after_handlers(&tx).await?;
            self.check_shared(&changed, entries.len())?;
        }
        let is_parked = self.park_behind(&tx, &parked).await;
        if !is_parked.map_err(|e| Fault::of_store("park events behind their key", e))? {
            return Err(Fault::freed());
        }
        let offsets: Vec<i64> = items.iter().map(|item| item.offset).collect();
        self.finish(tx, &offsets, isolation).await?;
        measure::batch(&self.dealt.topic, handled, duplicates, begun.elapsed());
        Ok(())
    }

    /// Returns whether the keys are still blocked.
    async fn park_behind(
        &self,
        tx: &Transaction<'_>,
        parked: &[&Item],
    ) -> Result<bool, deadpool_postgres::tokio_postgres::Error> {
        let ids: Vec<_> = parked.iter().filter_map(|item| item.id).collect();
        if ids.is_empty() {
            return Ok(true);
        }
        let store = &self.shared.store;
        let keys: BTreeSet<&[u8]> = parked.iter().filter_map(|item| item.message.key()).collect();
        if !store.keep_blocked(tx, &self.dealt.topic, &keys).await? {
            return Ok(false);
        }
        store.set_state(tx, &ids, "parked").await?;
        for Item { message, offset, id, .. } in parked {
            let (topic, partition) = (&*self.dealt.topic, self.dealt.partition);
            let held = NewlyHeld { topic, message, partition, offset: *offset, id: *id, fate: behind() };
            store.hold(tx, &held).await?;
            measure::held(&self.dealt.topic, "parked");
        }
        Ok(true)
    }

    /// Calls the handler within the transaction. If it fails, the transaction is rolled back, and the answer to that shows whether
    /// the connection to the store is lost: the handler's error may be another server's.
    ///
    /// An event of a handler outside of the transaction must have been handled before.
    pub(super) async fn handle<'a>(&self, tx: Transaction<'a>, item: &mut Item) -> Result<Transaction<'a>, Fault> {
        let Todo::Handle { event, handler } = &mut item.todo else { return Ok(tx) };
        let Registered::Inside(handler) = &**handler else { return Err(Fault::not_called()) };
        let event = match event.take() {
            Some(event) => event,
            None => self.decode_again(&item.message)?,
        };
        let (place, span) = (self.place(item.offset), self.span(&event, item.offset));

        let begun = Instant::now();
        let called = handler.handle(&tx, *event, place, &self.shared.upcasts);
        let outcome = self.guarded(called, span).await;
        let took = begun.elapsed();
        measure::handler(&self.dealt.topic, took);

        let fault = match outcome {
            Ok(()) if !tx.client().is_closed() => return Ok(tx),
            Ok(()) => None,
            Err(_) if self.shared.store.has_ended(&tx).await => return Err(Fault::Ended),
            Err(fault) => match self.shared.store.in_time(tx.rollback()).await {
                Ok(()) => return Err(fault),
                Err(_) => Some(fault),
            },
        };
        // PostgreSQL ends a session that is idle in its transaction. That is the event's fault.
        let bound = self.shared.store.lease / 2;
        let was_idle = took + Duration::from_millis(500) >= bound;
        Err(Fault::of_lost_connection(fault, was_idle.then_some(bound)))
    }

    /// Calls a handler outside of any transaction, unless the event was handled before or its key is blocked.
    pub(super) async fn call_outside(&self, item: &mut Item) -> Result<(), Fault> {
        if !item.is_outside() {
            return Ok(());
        }
        let store = &self.shared.store;
        let is_known = match item.id {
            Some(id) => store.is_known(id).await.map_err(Fault::Store)?,
            None => false,
        };
        let key = item.message.key();
        if is_known || store.is_blocked(&self.dealt.topic, key).await.map_err(Fault::Store)? {
            return Ok(());
        }
        self.handle_outside(item).await
    }

    /// Calls a handler outside of any transaction. After a success the event is [`Todo::Called`]; it is no longer called
    /// if the transaction that records this fails.
    pub(super) async fn handle_outside(&self, item: &mut Item) -> Result<(), Fault> {
        let Todo::Handle { event, handler } = &mut item.todo else { return Ok(()) };
        let Registered::Outside(handler) = &**handler else { return Ok(()) };
        let event = match event.take() {
            Some(event) => event,
            None => self.decode_again(&item.message)?,
        };
        let (place, span) = (self.place(item.offset), self.span(&event, item.offset));
        let begun = Instant::now();
        let outcome = self.guarded(handler.handle(*event, place, &self.shared.upcasts), span).await;
        measure::handler(&self.dealt.topic, begun.elapsed());
        outcome?;
        item.todo = Todo::Called;
        Ok(())
    }

    /// Waits for a handler, but not for ever, and takes a panic for a failure.
    async fn guarded(
        &self,
        called: impl Future<Output = Result<(), crate::handler::Failure>>,
        span: tracing::Span,
    ) -> Result<(), Fault> {
        let patience = self.shared.options.handler_timeout;
        match timeout(patience, AssertUnwindSafe(called).catch_unwind().instrument(span)).await {
            Err(_) => {
                let error = format!("the handler did not finish within {patience:?}");
                Err(Fault::Event(Failed::new(FailureKind::TimedOut, error)))
            }
            Ok(Err(panic)) => Err(Fault::Event(Failed::panicked(&*panic))),
            Ok(Ok(Err(failure))) => match Fault::of_handler(failure, self.shared.options.undecodable) {
                Some(fault) => Err(fault),
                None => Ok(()),
            },
            Ok(Ok(Ok(()))) => Ok(()),
        }
    }

    /// Restores the session after handlers, before the consumer's own statements. Returns the names of the settings that
    /// were changed.
    pub(super) async fn after_handlers(&self, tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
        let restored = self.shared.store.after_handlers(tx).await;
        restored.map_err(|e| Fault::after_handlers("restore the session", e))?.ok_or(Fault::Ended)
    }

    /// What one handler has changed of the session, the handlers after it have met. They run again without it: an event
    /// whose handler changes settings has a transaction to itself.
    fn check_shared(&self, changed: &[String], events: usize) -> Result<(), Fault> {
        if changed.is_empty() || events == 1 {
            return Ok(());
        }
        let settings = changed.join(", ");
        if !self.dealt.has_changed_settings.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "outbox.consumer", topic = &*self.dealt.topic, partition = self.dealt.partition, settings,
                "a handler changes settings of its session: its events run one by one, unless it sets them back"
            );
        }
        let error = format!("a handler of the batch changed {settings}");
        Err(Fault::Event(Failed::new(FailureKind::Failed, error)))
    }

    /// Leaves nothing of a failed attempt in the connection.
    pub(super) async fn clean_up(&self, client: Object, fault: Fault) -> Fault {
        match fault {
            // What the handler set after its COMMIT or ROLLBACK cannot be told from what was there before, and after a store
            // fault the connection may only seem to be open.
            Fault::Ended | Fault::Store(_) => drop(Object::take(client)),
            // A rollback undoes everything else.
            _ => self.shared.store.unlock(&client).await,
        }
        fault
    }

    /// The fence and the commit. At a stricter isolation level than READ COMMITTED the position moves separately: a
    /// transaction whose snapshot is older than the last move could not move it.
    pub(super) async fn finish(&self, tx: Transaction<'_>, offsets: &[i64], isolation: Isolation) -> Result<(), Fault> {
        let moved = match isolation {
            Isolation::ReadCommitted => self.prefix().propose(offsets),
            _ => None,
        };
        let finished = self.fence_and_commit(tx, offsets.len(), moved).await;
        match &finished {
            Ok(()) => self.prefix().committed(offsets, moved),
            Err(_) => self.prefix().abandoned(moved),
        }
        finished
    }

    async fn fence_and_commit(&self, tx: Transaction<'_>, events: usize, moved: Option<Move>) -> Result<(), Fault> {
        let fenced = self.shared.store.hold_fence(&tx, self.dealt.fence, moved).await;
        let fenced = fenced.map_err(|e| Fault::after_handlers("check the fence", e))?;
        if !fenced.is_ours {
            return Err(Fault::Store(Error::fenced()));
        }
        self.check_shared(&fenced.changed, events)?;
        match self.shared.store.in_time(tx.commit()).await {
            Ok(()) => Ok(()),
            // PostgreSQL has not committed, because of a deferred constraint or a foreign server, for example.
            Err(e) if is_rejected_commit(&e) => Err(Fault::of_commit(e)),
            // Whether it has is not known: position and inbox are read again before anything else is done.
            Err(e) => Err(Fault::of_store("tell whether it has committed", e)),
        }
    }

    fn decode_again(&self, message: &Message) -> Result<Box<DecodedEvent>, Fault> {
        match message.decode(&self.shared.pipeline, &self.dealt.topic, &mut DecodeHints::default()) {
            Ok(Decoded::Event(event)) => Ok(event),
            Ok(_) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, "the record is no event"))),
            Err(e) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, ErrorChain::new(&e).to_string()))),
        }
    }

    fn place(&self, offset: i64) -> Place {
        Place { topic: std::sync::Arc::clone(&self.dealt.topic), partition: self.dealt.partition, offset }
    }

    /// A span for the event, with what its trace is continued from.
    fn span(&self, event: &DecodedEvent, offset: i64) -> tracing::Span {
        let span = tracing::info_span!(
            target: "outbox.consumer", "handle event",
            "otel.kind" = "consumer",
            "messaging.system" = "kafka",
            "messaging.destination.name" = &*self.dealt.topic,
            "messaging.destination.partition.id" = self.dealt.partition,
            "messaging.kafka.offset" = offset,
            "messaging.consumer.group.name" = self.shared.store.group,
            event.id = %event.id,
            event.r#type = event.event_type.as_deref(),
            traceparent = event.traceparent.as_ref().map(|traceparent| traceparent.as_str()),
        );
        if let Some(hook) = &self.shared.options.span {
            hook(&span, event);
        }
        span
    }
}

/// What a handler did that ended its transaction.
pub(super) const ENDED: &str = "the handler ended its transaction by COMMIT or ROLLBACK, which only the consumer may: \
     remove that from the handler. Nothing of the transaction is stored";

impl Fault {
    /// For what has no event to blame.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Store(e) | Self::Conflict(e) => e,
            Self::Event(failed) => Error::store("keep an event that failed", failed.error),
            Self::Stop(e) => Error::store("keep an event that failed", e),
            Self::Ended => Error::store("keep a transaction", ENDED),
        }
    }
}
