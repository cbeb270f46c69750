use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use outbox_core::record::{DecodeHints, Decoded, DecodedEvent};
use outbox_net::ErrorChain;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::failed::{Aborted, Failed, Fault};
use super::item::{Item, Todo};
use super::lane::Lane;
use super::measure;
use crate::handler::{Calls, Failure, HandlerPolicy, Registered};
use crate::protocol::{FailureKind, Staged, stages};
use crate::received::RecordPosition;
use crate::route::{Kind, Route};
use crate::source::Message;
use crate::store::Transaction;

impl Lane {
    /// Calls the handlers of these events of the batch, within the transaction.
    ///
    /// If a handler fails, the transaction is rolled back, and the answer to that shows whether the connection to the
    /// store is lost: the handler's error may be another server's. An event of a handler outside of the transaction
    /// must have been handled before.
    pub(super) async fn handle<'a>(
        &self,
        mut tx: Transaction<'a>,
        items: &mut [Item],
        fresh: &[usize],
    ) -> Result<Transaction<'a>, Aborted> {
        let stages = stages(&staged(items, fresh));
        for stage in stages {
            if stage.together.is_some() {
                tx = self.handle_together(tx, items, &stage.members).await?;
                continue;
            }
            for index in stage.members {
                let Some(item) = items.get_mut(index) else { continue };
                let handled = self.handle_each(tx, item).await;
                tx = handled.map_err(|fault| Aborted { fault, suspects: vec![index] })?;
            }
        }
        Ok(tx)
    }

    async fn handle_each<'a>(&self, mut tx: Transaction<'a>, item: &mut Item) -> Result<Transaction<'a>, Fault> {
        let Some((event, place, route)) = self.delivered(item)? else { return Ok(tx) };
        let span = self.span(&event, item.offset);
        let begun = Instant::now();
        let outcome = self.call_in_order(&mut tx, &route, event, place).instrument(span).await;
        self.concluded(tx, outcome, begun.elapsed()).await
    }

    /// Calls the handlers of one event, in the order of their registration.
    async fn call_in_order(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        event: DecodedEvent,
        place: RecordPosition,
    ) -> Result<(), Fault> {
        let Some((last, others)) = route.handlers().split_last() else { return Ok(()) };
        self.call_before(tx, &event, &place).await?;
        for handler in others {
            self.call(tx, handler, event.clone(), place.clone()).await?;
        }
        self.call(tx, last, event, place).await
    }

    async fn call_before(
        &self,
        tx: &mut Transaction<'_>,
        event: &DecodedEvent,
        place: &RecordPosition,
    ) -> Result<(), Fault> {
        let Some(before) = &self.shared.options.before else { return Ok(()) };
        let called = before.handle(tx, event.clone(), place.clone(), &self.shared.upcasts);
        self.guarded(called, &HandlerPolicy::new()).await
    }

    async fn call(
        &self,
        tx: &mut Transaction<'_>,
        handler: &Registered,
        event: DecodedEvent,
        place: RecordPosition,
    ) -> Result<(), Fault> {
        let (upcasts, policy) = (&self.shared.upcasts, &handler.policy);
        match &handler.calls {
            Calls::Each(each) => self.guarded(each.handle(tx, event, place, upcasts), policy).await,
            Calls::Together(_) => {
                self.call_together(tx, handler, vec![(event, place)]).await.map_err(|(fault, _)| fault)
            }
            Calls::Outside(_) => Err(Fault::not_called()),
        }
    }

    /// Calls each handler of the events' route with all of them, one handler after the other.
    async fn handle_together<'a>(
        &self,
        mut tx: Transaction<'a>,
        items: &mut [Item],
        members: &[usize],
    ) -> Result<Transaction<'a>, Aborted> {
        let (mut events, mut route) = (Vec::with_capacity(members.len()), None);
        for &index in members {
            let Some(item) = items.get_mut(index) else { continue };
            let delivered = self.delivered(item).map_err(|fault| Aborted { fault, suspects: vec![index] })?;
            if let Some((event, place, of)) = delivered {
                events.push((event, place));
                route = Some(of);
            }
        }
        let Some(route) = route else { return Ok(tx) };

        let span = tracing::info_span!(
            target: "outbox.consumer", "handle events",
            "otel.kind" = "consumer",
            "messaging.system" = "kafka",
            "messaging.destination.name" = &*self.dealt.topic,
            "messaging.destination.partition.id" = self.dealt.partition,
            "messaging.batch.message_count" = events.len(),
            "messaging.consumer.group.name" = self.shared.store.group,
        );
        let begun = Instant::now();
        let outcome = self.call_with_all(&mut tx, &route, events).instrument(span).await;
        let (outcome, suspects) = match outcome {
            Ok(()) => (Ok(()), Vec::new()),
            Err((fault, Some(index))) => (Err(fault), members.get(index).copied().into_iter().collect()),
            Err((fault, None)) => (Err(fault), members.to_vec()),
        };
        let concluded = self.concluded(tx, outcome, begun.elapsed()).await;
        concluded.map_err(|fault| Aborted { fault, suspects })
    }

    async fn call_with_all(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        events: Vec<(DecodedEvent, RecordPosition)>,
    ) -> Result<(), (Fault, Option<usize>)> {
        let Some((last, others)) = route.handlers().split_last() else { return Ok(()) };
        for handler in others {
            self.call_with(tx, handler, events.clone()).await?;
        }
        self.call_with(tx, last, events).await
    }

    async fn call_with(
        &self,
        tx: &mut Transaction<'_>,
        handler: &Registered,
        events: Vec<(DecodedEvent, RecordPosition)>,
    ) -> Result<(), (Fault, Option<usize>)> {
        if matches!(handler.calls, Calls::Together(_)) {
            return self.call_together(tx, handler, events).await;
        }
        for (index, (event, place)) in events.into_iter().enumerate() {
            let called = async {
                self.call_before(tx, &event, &place).await?;
                self.call(tx, handler, event, place).await
            };
            called.await.map_err(|fault| (fault, Some(index)))?;
        }
        Ok(())
    }

    /// Calls the handlers together. The error has the place of the event that is its cause, if that is known.
    async fn call_together(
        &self,
        tx: &mut Transaction<'_>,
        handler: &Registered,
        events: Vec<(DecodedEvent, RecordPosition)>,
    ) -> Result<(), (Fault, Option<usize>)> {
        let Calls::Together(together) = &handler.calls else { return Err((Fault::not_called(), None)) };
        let mut cause = None;
        let called = async {
            let handled = together.handle(tx, events, &self.shared.upcasts, self.shared.options.undecodable).await;
            handled.map_err(|failed| {
                cause = failed.event;
                failed.failure
            })
        };
        let outcome = self.guarded(called, &handler.policy).await;
        outcome.map_err(|fault| (fault, cause))
    }

    /// Calls the handlers of a route with these events, within or outside of the transaction, as the route has it.
    pub(super) async fn call_all(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        events: Vec<(DecodedEvent, RecordPosition)>,
    ) -> Result<(), Fault> {
        if route.kind() == Kind::Together {
            return self.call_with_all(tx, route, events).await.map_err(|(fault, _)| fault);
        }
        for (event, place) in events {
            match route.kind() {
                Kind::Outside => self.call_outside_with(route, &event, &place).await?,
                _ => self.call_in_order(tx, route, event, place).await?,
            }
        }
        Ok(())
    }

    /// Calls a handler outside of any transaction, unless the event was handled before or its key is blocked.
    pub(super) async fn call_outside(&self, item: &mut Item) -> Result<(), Fault> {
        if !item.is_outside() {
            return Ok(());
        }
        let _slot = self.shared.slots.acquire().await;
        let store = &self.shared.store;
        let is_known = match item.id {
            Some(id) => !store.known(&[id]).await.map_err(Fault::Store)?.is_empty(),
            None => false,
        };
        let key = item.message.key();
        if is_known || store.is_blocked(&self.dealt.topic, key).await.map_err(Fault::Store)? {
            return Ok(());
        }
        self.handle_outside(item).await
    }

    /// Calls a handler outside of any transaction. After a success the event is [`Todo::Called`]; it is no longer
    /// called if the transaction that records this fails.
    pub(super) async fn handle_outside(&self, item: &mut Item) -> Result<(), Fault> {
        if !item.is_outside() {
            return Ok(());
        }
        let Some((event, place, route)) = self.delivered(item)? else { return Ok(()) };
        let span = self.span(&event, item.offset);
        self.call_outside_with(&route, &event, &place).instrument(span).await?;
        item.todo = Todo::Called { route };
        Ok(())
    }

    async fn call_outside_with(
        &self,
        route: &Route,
        event: &DecodedEvent,
        place: &RecordPosition,
    ) -> Result<(), Fault> {
        for handler in route.handlers() {
            let Calls::Outside(outside) = &handler.calls else { continue };
            let called = outside.handle(event.clone(), place.clone(), &self.shared.upcasts);
            self.guarded(called, &handler.policy).await?;
        }
        Ok(())
    }

    /// Takes the event out of an item, for its handlers.
    pub(super) fn delivered(
        &self,
        item: &mut Item,
    ) -> Result<Option<(DecodedEvent, RecordPosition, Arc<Route>)>, Fault> {
        let Todo::Handle { event, route } = &mut item.todo else { return Ok(None) };
        let event = match event.take() {
            Some(event) => event,
            None => self.decode_again(&item.message)?,
        };
        let place = RecordPosition {
            topic: Arc::clone(&self.dealt.topic),
            partition: self.dealt.partition,
            offset: item.offset,
            delivery: item.delivery,
        };
        item.delivery.is_redelivery = true;
        Ok(Some((*event, place, Arc::clone(route))))
    }

    fn decode_again(&self, message: &Message) -> Result<Box<DecodedEvent>, Fault> {
        match message.decode(&self.shared.pipeline, &self.dealt.topic, &mut DecodeHints::default()) {
            Ok(Decoded::Event(event)) => Ok(event),
            Ok(_) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, "the record is no event"))),
            Err(e) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, ErrorChain::new(&e).to_string()))),
        }
    }

    /// Waits for a handler up to its timeout. A panic counts as a failure.
    async fn guarded(
        &self,
        called: impl Future<Output = Result<(), Failure>>,
        policy: &HandlerPolicy,
    ) -> Result<(), Fault> {
        let options = &self.shared.options;
        let patience = policy.timeout.unwrap_or(options.handler_timeout);
        let begun = Instant::now();
        let outcome = timeout(patience, AssertUnwindSafe(called).catch_unwind()).await;
        measure::handler(&self.dealt.topic, begun.elapsed());
        let fault = match outcome {
            Err(_) => {
                let error = format!("the handler did not finish within {patience:?}");
                Fault::Event(Failed::new(FailureKind::TimedOut, error))
            }
            Ok(Err(panic)) => Fault::Event(Failed::panicked(&*panic)),
            Ok(Ok(Err(failure))) => match Fault::of_handler(failure, options.undecodable) {
                Some(fault) => fault,
                None => return Ok(()),
            },
            Ok(Ok(Ok(()))) => return Ok(()),
        };
        Err(fault.with_policy(policy))
    }

    /// Checks the transaction after its handlers: whether it is open, was ended, or has lost its connection.
    async fn concluded<'a>(
        &self,
        mut tx: Transaction<'a>,
        outcome: Result<(), Fault>,
        took: Duration,
    ) -> Result<Transaction<'a>, Fault> {
        let store = &self.shared.store;
        // PostgreSQL ends a session that is idle in its transaction. That is the event's fault.
        let bound = store.lease / 2;
        let was_idle = took + Duration::from_millis(500) >= bound;

        let fault = match outcome {
            Ok(()) if !store.is_lost(&mut tx, was_idle).await => return Ok(tx),
            Ok(()) => None,
            Err(_) if store.has_ended(&mut tx).await && !tx.was_rolled_back() => return Err(Fault::Ended),
            Err(fault) => match store.in_time(tx.rollback()).await {
                Ok(()) => return Err(fault),
                Err(_) => Some(fault),
            },
        };
        Err(Fault::of_lost_connection(fault, was_idle.then_some(bound)))
    }

    /// Returns a span for the event, with what its trace is continued from.
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

/// Returns the keys of these events, and the routes that take several at once, by their addresses.
fn staged<'a>(items: &'a [Item], fresh: &[usize]) -> Vec<Staged<'a>> {
    let of = |&index: &usize| {
        let item = items.get(index)?;
        let route = item.route().filter(|route| route.kind() == Kind::Together);
        Some((index, item.message.key(), route.map(|route| Arc::as_ptr(route).addr())))
    };
    fresh.iter().filter_map(of).collect()
}
