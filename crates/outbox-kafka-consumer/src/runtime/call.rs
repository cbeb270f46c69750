use std::panic::{AssertUnwindSafe, catch_unwind};
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
use crate::Received;
use crate::handler::{HandlerPolicy, HandlerResult, HandlerTx, Kind, Reading, Registered};
use crate::protocol::{FailureKind, Staged, stages};
use crate::received::RecordPosition;
use crate::registry::Route;
use crate::source::Message;
use crate::store::{SessionState, Transaction};

impl Lane {
    /// Calls the handlers of these events of the batch, within the transaction.
    ///
    /// If a handler fails, the transaction is rolled back, and the answer to that shows whether the connection to the
    /// store is lost: the handler's error may be another server's. An event of a handler outside of the transaction
    /// must have been handled before.
    pub async fn handle<'a>(
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
        let Some((event, route)) = self.delivered(item)? else { return Ok(tx) };
        let span = self.span(&event);
        let begun = Instant::now();
        let outcome = self.call_in_order(&mut tx, &route, event).instrument(span).await.map_err(Fault::from);
        self.concluded(tx, outcome, begun.elapsed()).await
    }

    /// Calls the handlers of one event, in the order of their registration.
    async fn call_in_order(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        event: Received<()>,
    ) -> Result<(), CallFault> {
        let Some((last, others)) = route.handlers().split_last() else { return Ok(()) };
        self.call_before(tx, &event).await?;
        for handler in others {
            self.call(HandlerTx::new(tx), handler, vec![event.clone()]).await?;
        }
        self.call(HandlerTx::new(tx), last, vec![event]).await
    }

    /// Calls the hook of the builder, which has no layers.
    async fn call_before(&self, tx: &mut Transaction<'_>, event: &Received<()>) -> Result<(), CallFault> {
        let Some(before) = &self.shared.options.before else { return Ok(()) };
        let call = before.call(vec![event.clone()], &[], self.reading());
        self.guarded(call.run(HandlerTx::new(tx)), before.policy()).await
    }

    /// Calls a handler, within its layers, with one event, or with several if it takes them.
    async fn call(
        &self,
        tx: HandlerTx<'_, '_>,
        handler: &Registered,
        events: Vec<Received<()>>,
    ) -> Result<(), CallFault> {
        let options = &self.shared.options;
        let layers = match (handler.kind(), tx.is_outside()) {
            (Kind::Outside, true) => &options.side_effect_layers,
            (Kind::Each | Kind::Together, false) => &options.layers,
            _ => return Err(Fault::not_called().into()),
        };
        let call = handler.call(events, layers, self.reading());
        self.guarded(call.run(tx), handler.policy()).await
    }

    fn reading(&self) -> Reading<'_> {
        Reading::new(&self.shared.upcasts, self.shared.options.on_undecodable_record, measure::unreadable)
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
            if let Some((event, of)) = delivered {
                events.push(event);
                route = Some(of);
            }
        }
        let Some(route) = route else { return Ok(tx) };

        let span = tracing::info_span!(
            target: "outbox.consumer", "handle events",
            "otel.kind" = "consumer",
            "messaging.system" = "kafka",
            "messaging.destination.name" = &*self.in_flight.topic,
            "messaging.destination.partition.id" = self.in_flight.partition,
            "messaging.batch.message_count" = events.len(),
            "messaging.consumer.group.name" = self.shared.store.group,
        );
        let begun = Instant::now();
        let outcome = self.call_with_all(&mut tx, &route, events).instrument(span).await;
        let (outcome, suspects) = match outcome {
            Ok(()) => (Ok(()), Vec::new()),
            Err(CallFault { fault, event: Some(index) }) => {
                (Err(fault), members.get(index).copied().into_iter().collect())
            }
            Err(CallFault { fault, event: None }) => (Err(fault), members.to_vec()),
        };

        let concluded = self.concluded(tx, outcome, begun.elapsed()).await;
        concluded.map_err(|fault| Aborted { fault, suspects })
    }

    async fn call_with_all(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        events: Vec<Received<()>>,
    ) -> Result<(), CallFault> {
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
        events: Vec<Received<()>>,
    ) -> Result<(), CallFault> {
        if handler.kind() == Kind::Together {
            return self.call(HandlerTx::new(tx), handler, events).await;
        }
        for (index, event) in events.into_iter().enumerate() {
            let called = async {
                self.call_before(tx, &event).await?;
                self.call(HandlerTx::new(tx), handler, vec![event]).await
            };
            called.await.map_err(|CallFault { fault, .. }| CallFault { fault, event: Some(index) })?;
        }
        Ok(())
    }

    /// Calls the handlers of a route with these events, within or outside of the transaction, as the route has it.
    pub async fn call_all(
        &self,
        tx: &mut Transaction<'_>,
        route: &Route,
        events: Vec<Received<()>>,
    ) -> Result<(), Fault> {
        if route.kind() == Kind::Together {
            return Ok(self.call_with_all(tx, route, events).await?);
        }
        for event in events {
            match route.kind() {
                Kind::Outside => self.call_outside_with(route, event).await?,
                _ => self.call_in_order(tx, route, event).await?,
            }
        }
        Ok(())
    }

    /// Calls a handler outside of any transaction, unless the event was handled before or its key is blocked.
    pub async fn call_outside(&self, item: &mut Item) -> Result<(), Fault> {
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
        if is_known || store.is_blocked(&self.in_flight.topic, key).await.map_err(Fault::Store)? {
            return Ok(());
        }
        self.handle_outside(item).await
    }

    /// Calls a handler outside of any transaction. After a success the event is [`Todo::Called`]; it is no longer
    /// called if the transaction that records this fails.
    pub async fn handle_outside(&self, item: &mut Item) -> Result<(), Fault> {
        if !item.is_outside() {
            return Ok(());
        }
        let Some((event, route)) = self.delivered(item)? else { return Ok(()) };
        let span = self.span(&event);
        self.call_outside_with(&route, event).instrument(span).await?;
        item.todo = Todo::Called { route };
        Ok(())
    }

    async fn call_outside_with(&self, route: &Route, event: Received<()>) -> Result<(), CallFault> {
        for handler in route.handlers() {
            self.call(HandlerTx::Outside, handler, vec![event.clone()]).await?;
        }
        Ok(())
    }

    /// Takes the event out of an item, for its handlers.
    pub fn delivered(&self, item: &mut Item) -> Result<Option<Delivered>, Fault> {
        let Todo::Handle { event, route } = &mut item.todo else { return Ok(None) };
        let event = match event.take() {
            Some(event) => event,
            None => self.decode_again(&item.message)?,
        };
        let place = RecordPosition {
            topic: Arc::clone(&self.in_flight.topic),
            partition: self.in_flight.partition,
            offset: item.offset,
            delivery: item.delivery,
        };

        item.delivery.is_redelivery = true;
        Ok(Some((Received::new((), *event, place), Arc::clone(route))))
    }

    fn decode_again(&self, message: &Message) -> Result<Box<DecodedEvent>, Fault> {
        match message.decode(&self.shared.pipeline, &self.in_flight.topic, &mut DecodeHints::default()) {
            Ok(Decoded::Event(event)) => Ok(event),
            Ok(_) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, "the record is no event"))),
            Err(e) => Err(Fault::Event(Failed::new(FailureKind::Undecodable, ErrorChain::new(&e).to_string()))),
        }
    }

    /// Waits for a handler up to its timeout. A panic counts as a failure.
    async fn guarded(
        &self,
        called: impl Future<Output = HandlerResult>,
        policy: &HandlerPolicy,
    ) -> Result<(), CallFault> {
        let options = &self.shared.options;
        let patience = policy.timeout.unwrap_or(options.handler_timeout);
        let begun = Instant::now();
        let outcome = timeout(patience, AssertUnwindSafe(called).catch_unwind()).await;
        measure::handler(&self.in_flight.topic, begun.elapsed());

        let (fault, event) = match outcome {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => {
                let event = error.event();
                (Fault::of_handler(error, options.on_undecodable_record), event)
            }
            Ok(Err(panic)) => (Fault::Event(Failed::panicked(&*panic)), None),
            Err(_) => {
                let error = format!("the handler did not finish within {patience:?}");
                (Fault::Event(Failed::new(FailureKind::TimedOut, error)), None)
            }
        };
        Err(CallFault { fault: fault.with_policy(policy), event })
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

        // After a success the next statement fails if the connection is lost.
        let state = match (&outcome, tx.is_closed()) {
            (Ok(()), Some(true)) => SessionState::Closed,
            (Ok(()), Some(false)) => SessionState::Open,
            (Ok(()), None) if !was_idle => SessionState::Open,
            _ => store.session_state(&mut tx).await,
        };
        let (fault, state) = match (outcome, state) {
            (Ok(()), SessionState::Open | SessionState::Ended) => return Ok(tx),
            (Err(_), SessionState::Ended) if !tx.was_rolled_back() => return Err(Fault::Ended),
            (Err(fault), SessionState::Open | SessionState::Ended) => match store.in_time(tx.rollback()).await {
                Ok(()) => return Err(fault),
                Err(e) => (Some(fault), SessionState::without_answer(&e)),
            },
            (outcome, state) => (outcome.err(), state),
        };
        Err(match state {
            SessionState::Silent => Fault::of_silent_connection(fault),
            _ => Fault::of_closed_connection(fault, was_idle.then_some(bound)),
        })
    }

    /// Returns a span for the event, which continues the event's trace.
    fn span(&self, received: &Received<()>) -> tracing::Span {
        let event = received.envelope();
        let span = tracing::info_span!(
            target: "outbox.consumer", "handle event",
            "otel.kind" = "consumer",
            "messaging.system" = "kafka",
            "messaging.destination.name" = &*self.in_flight.topic,
            "messaging.destination.partition.id" = self.in_flight.partition,
            "messaging.kafka.offset" = received.offset(),
            "messaging.consumer.group.name" = self.shared.store.group,
            event.id = %event.id,
            event.r#type = event.event_type.as_deref(),
            traceparent = event.traceparent.as_ref().map(|traceparent| traceparent.as_str()),
        );

        if let Some(hook) = &self.shared.options.span {
            // A panic in it affects neither the event nor its worker.
            if catch_unwind(AssertUnwindSafe(|| hook(&span, event))).is_err() {
                tracing::error!(target: "outbox.consumer", topic = &*self.in_flight.topic, "span hook panicked");
            }
        }
        span
    }
}

/// An event with its handlers.
pub type Delivered = (Received<()>, Arc<Route>);

/// The reason why a call of a handler failed, and which of its events is the cause if it is known.
struct CallFault {
    fault: Fault,
    event: Option<usize>,
}

impl From<Fault> for CallFault {
    fn from(fault: Fault) -> Self {
        Self { fault, event: None }
    }
}

impl From<CallFault> for Fault {
    fn from(failed: CallFault) -> Self {
        failed.fault
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
