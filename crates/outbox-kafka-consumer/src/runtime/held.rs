//! Attempts at parked events, and the requests of operators.

use std::time::Instant;

use outbox_core::record::DecodeHints;
use outbox_net::ErrorChain;

use super::failed::{Failed, Fault};
use super::item::{Item, Todo};
use super::lane::{CONFLICTS, Lane, pause_after, random};
use super::measure;
use super::session::Calls;
use crate::protocol::FailureKind;
use crate::received::Delivery;
use crate::registry::Route;
use crate::store::{Action, Connection, HeldEvent, HeldEventTask, SettingsCheck, Transaction};
use crate::{Error, Isolation};

/// The number of held events of one key that are handled before the lane continues with others.
const IN_A_ROW: usize = 100;

/// An attempt at a held event.
enum Attempt {
    /// No work is due now.
    None,
    Begun(HeldEvent),
}

impl Lane {
    /// Handles due events and requests. It runs in the lane of the event's key, so no other event of that key is in
    /// flight.
    pub async fn run_task(&self, task: &HeldEventTask) -> Result<(), Error> {
        let _slot = self.shared.slots.acquire().await;
        let mut next = Some(task.held);

        match task.action {
            Action::Due if self.shared.pauses.is_paused(&self.in_flight.topic, task.event_type()) => {
                return self.shared.store.postpone(task.held).await;
            }
            Action::Due => {}
            Action::Retry(request) => self.revive(task.held, request).await?,
            Action::Discard(request) => {
                self.discard(task.held, request).await?;
                next = None;
            }
        }

        for _ in 0..IN_A_ROW {
            let Some(held) = next else { break };
            next = self.retry(held).await?;
        }
        Ok(())
    }

    async fn revive(&self, held: i64, request: i64) -> Result<(), Error> {
        let store = &self.shared.store;
        let doing = |e| Error::store("carry out a retry", e);
        let mut client = store.connection().await?;
        let mut tx = self.begin(&mut client, Isolation::ReadCommitted).await?;
        let is_held = store.revive(&mut tx, held).await.map_err(doing)?;
        let outcome = if is_held { "retried" } else { "not held" };
        if !store.done(&mut tx, request, outcome).await.map_err(doing)? {
            return Ok(());
        }
        self.finish(tx, &[], Isolation::ReadCommitted).await.map_err(Fault::into_error)
    }

    /// Discards a held event at the request of an operator. If it is no longer held, the request is done without
    /// effect.
    async fn discard(&self, held: i64, request: i64) -> Result<(), Error> {
        let store = &self.shared.store;
        let doing = |e| Error::store("carry out a discard", e);
        let mut client = store.connection().await?;
        let mut tx = self.begin(&mut client, Isolation::ReadCommitted).await?;

        if let Some(event) = store.held(&mut tx, &self.in_flight.topic, held).await.map_err(doing)?
            && store.done(&mut tx, request, "discarded").await.map_err(doing)?
        {
            // If the event is delivered again, the inbox knows it, and it is skipped. The inbox forgets it like a
            // handled event.
            if let Some(id) = event.id {
                store.set_state(&mut tx, &[id], "handled").await.map_err(doing)?;
            }
            _ = store.release(&mut tx, held).await.map_err(doing)?;
            tracing::warn!(target: "outbox.consumer", held, offset = event.offset, "held event discarded on request");
        } else {
            store.done(&mut tx, request, "not held").await.map_err(doing)?;
        }
        self.finish(tx, &[], Isolation::ReadCommitted).await.map_err(Fault::into_error)
    }

    /// Makes another attempt at a held event. Returns the next one of its key, whose turn it is after a success.
    async fn retry(&self, held: i64) -> Result<Option<i64>, Error> {
        let Attempt::Begun(event) = self.begin_attempt(held).await? else { return Ok(None) };
        let attempts = event.attempts.saturating_add(1);
        let sorted = self.shared.sort(
            &self.in_flight.topic,
            self.in_flight.partition,
            event.offset,
            event.message,
            &mut DecodeHints::default(),
        );

        let mut item = match sorted {
            Ok(Some(item)) => item,
            // The policy now skips it.
            Ok(None) => return self.skip_held(held, event.id).await,
            Err(e) => {
                let failed = Failed::new(FailureKind::Undecodable, ErrorChain::new(&e).to_string());
                return self.hold_again(held, &failed, None, attempts).await;
            }
        };

        item.delivery = Delivery {
            attempt: u32::try_from(attempts).unwrap_or(1),
            is_redelivery: event.was_tried || event.was_started,
        };

        let route = item.route().cloned();
        let route = route.as_deref();
        let misfit = match &item.todo {
            Todo::Reject(why) => Some(Failed::new(FailureKind::Undecodable, why.clone())),
            Todo::Hold(why) => Some(Failed::new(FailureKind::Unhandled, why.clone())),
            _ => None,
        };

        if let Some(failed) = misfit {
            return self.hold_again(held, &failed, route, attempts).await;
        }

        let mut conflicts = 0;
        let outcome = loop {
            let begun = Instant::now();
            let attempted = self.attempt_held(held, &mut item, event.id.is_some(), conflicts).await;
            match attempted.map_err(|fault| fault.after(begun.elapsed(), self.shared.store.lease)) {
                Err(Fault::Conflict(_) | Fault::Locked(_)) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    pause_after(conflicts).await;
                }
                outcome => break outcome,
            }
        };

        match outcome {
            Ok(next) => {
                measure::retried(&self.in_flight.topic);
                self.shared.succeeded(&self.in_flight.topic, item.event_type());
                Ok(next)
            }
            Err(Fault::Store(e)) => Err(e),
            Err(Fault::SessionChanged(e)) => {
                measure::retried(&self.in_flight.topic);
                self.shared.succeeded(&self.in_flight.topic, item.event_type());
                Err(e)
            }
            Err(Fault::Ended) => Err(self.ended(event.offset)),
            Err(Fault::Event(failed)) => self.hold_again(held, &failed, route, attempts).await,
            Err(Fault::Locked(e)) => self.hold_again(held, &Failed::locked(&e), route, attempts).await,
            Err(fault) => {
                let kind =
                    if matches!(fault, Fault::Stop(..)) { FailureKind::Undecodable } else { FailureKind::Failed };
                let failed = Failed::new(kind, ErrorChain::new(&fault.into_error()).to_string());
                self.hold_again(held, &failed, route, attempts).await
            }
        }
    }

    /// Counts the attempt before it is made, so that one that ends the process is counted as well.
    async fn begin_attempt(&self, held: i64) -> Result<Attempt, Error> {
        let store = &self.shared.store;
        let doing = |e| Error::store("begin an attempt at a held event", e);
        let mut client = store.connection().await?;
        let mut tx = self.begin(&mut client, Isolation::ReadCommitted).await?;
        let Some(event) =
            store.held(&mut tx, &self.in_flight.topic, held).await.map_err(doing)?.filter(|event| event.is_due)
        else {
            return Ok(Attempt::None);
        };

        if event.was_started {
            let failed = Failed::new(FailureKind::Crashed, "the process ended during the last attempt");
            let route = self.shared.route(&self.in_flight.topic, &event.message);
            let disposition = self.shared.disposition(&failed, route.as_deref(), event.attempts, random());
            if disposition.next_attempt.is_none() {
                store.hold_again(&mut tx, held, &disposition).await.map_err(doing)?;
                if let Some(id) = event.id {
                    store.set_state(&mut tx, &[id], disposition.state.name()).await.map_err(doing)?;
                }
                self.finish(tx, &[], Isolation::ReadCommitted).await.map_err(Fault::into_error)?;
                return Ok(Attempt::None);
            }
        }

        store.start_attempt(&mut tx, held).await.map_err(doing)?;
        self.finish(tx, &[], Isolation::ReadCommitted).await.map_err(Fault::into_error)?;
        Ok(Attempt::Begun(event))
    }

    async fn attempt_held(
        &self,
        held: i64,
        item: &mut Item,
        is_known: bool,
        conflicts: u32,
    ) -> Result<Option<i64>, Fault> {
        self.handle_outside(item).await?;
        let _turn = self.turn(conflicts).await;
        let mut client = self.shared.store.connection().await.map_err(Fault::Store)?;
        match self.attempt_held_on(&mut client, held, item, is_known).await {
            Ok(next) => Ok(next),
            Err(fault) => Err(self.clean_up(client, fault).await),
        }
    }

    /// Handles a held event in the transaction that releases it. Returns the next held event of its key, if there is
    /// one.
    async fn attempt_held_on(
        &self,
        client: &mut Connection,
        held: i64,
        item: &mut Item,
        is_known: bool,
    ) -> Result<Option<i64>, Fault> {
        let (store, isolation) = (&self.shared.store, self.shared.options.isolation);
        let check = self.settings_check(std::slice::from_ref(item));
        let mut tx = self.begin_checked(client, isolation, check).await.map_err(Fault::Store)?;
        // The event is locked until the commit, because another partition's owner may also have it after the number of
        // partitions was raised.
        let found = store.held(&mut tx, &self.in_flight.topic, held).await;
        if found.map_err(|e| Fault::of_store("lock a held event", e))?.is_none() {
            return Ok(None);
        }

        // A record that could not be decoded when it was held enters the inbox now. Another record may have brought its
        // event since.
        let is_new = match item.id {
            Some(id) if !is_known => {
                let taken = store.take_in(&mut tx, self.in_flight.fence, id, item.offset, "handled").await;
                taken.map_err(|e| Fault::of_store("take an event into the inbox", e))?
            }
            _ => true,
        };

        let mut calls = Calls { check, ..Calls::default() };
        if is_new {
            let handled = self.handle(tx, std::slice::from_mut(item), &[0]).await;
            tx = handled.map_err(|aborted| aborted.fault)?;
            // The following statements must run in this transaction, and as this role.
            calls.changed = self.after_handlers(&mut tx, check).await?;
        }
        let (next, remained) = self.released(tx, held, item.id, isolation, calls).await?;
        if is_new {
            self.check_session(&[item], check, &remained)?;
        }
        Ok(next)
    }

    /// Records that the event is done: in the inbox, and no longer held. Returns the next one of its key, and the
    /// settings that handlers have changed for longer than the transaction.
    async fn released(
        &self,
        mut tx: Transaction<'_>,
        held: i64,
        id: Option<outbox_core::uuid::Uuid>,
        isolation: Isolation,
        calls: Calls,
    ) -> Result<(Option<i64>, Vec<String>), Fault> {
        let store = &self.shared.store;
        let ended = async {
            if let Some(id) = id {
                store.set_state(&mut tx, &[id], "handled").await?;
            }
            store.release(&mut tx, held).await
        };
        let released = ended.await.map_err(|e| Fault::after_handlers("release a held event", e))?;
        let next = released.ok_or_else(|| Fault::Store(Error::fenced()))?.next;
        let remained = self.finish_handled(tx, &[], isolation, calls).await?;
        Ok((next, remained))
    }

    async fn skip_held(&self, held: i64, id: Option<outbox_core::uuid::Uuid>) -> Result<Option<i64>, Error> {
        let mut client = self.shared.store.connection().await?;
        let tx = self.begin(&mut client, Isolation::ReadCommitted).await?;
        let released = self.released(tx, held, id, Isolation::ReadCommitted, Calls::default()).await;
        released.map(|(next, _)| next).map_err(Fault::into_error)
    }

    /// Stores the failed attempt of a held event, and the time of the next one or its end as a dead letter. Returns no
    /// next event of the key, because this one is not released.
    async fn hold_again(
        &self,
        held: i64,
        failed: &Failed,
        route: Option<&Route>,
        attempts: i32,
    ) -> Result<Option<i64>, Error> {
        let store = &self.shared.store;
        let doing = |e| Error::store("keep an event that failed again", e);
        let disposition = self.shared.disposition(failed, route, attempts, random());
        let mut client = store.connection().await?;
        let mut tx = self.begin(&mut client, Isolation::ReadCommitted).await?;
        let event = store.held(&mut tx, &self.in_flight.topic, held).await.map_err(doing)?;
        store.hold_again(&mut tx, held, &disposition).await.map_err(doing)?;

        if let Some(id) = event.and_then(|event| event.id) {
            store.set_state(&mut tx, &[id], disposition.state.name()).await.map_err(doing)?;
        }

        self.finish(tx, &[], Isolation::ReadCommitted).await.map_err(Fault::into_error)?;
        self.expect(&disposition);
        measure::held(&self.in_flight.topic, disposition.state);
        tracing::warn!(
            target: "outbox.consumer", topic = &*self.in_flight.topic, partition = self.in_flight.partition, held, attempts,
            kind = disposition.kind.name(), error = disposition.error, retry_in = ?disposition.next_attempt, "held event is {}", disposition.state
        );
        Ok(None)
    }

    /// Begins a transaction with its bounds set.
    async fn begin<'a>(&self, client: &'a mut Connection, isolation: Isolation) -> Result<Transaction<'a>, Error> {
        self.begin_checked(client, isolation, SettingsCheck::Listed).await
    }

    async fn begin_checked<'a>(
        &self,
        client: &'a mut Connection,
        isolation: Isolation,
        check: SettingsCheck,
    ) -> Result<Transaction<'a>, Error> {
        let doing = |e| Error::store("begin a transaction", e);
        let mut tx = self.shared.store.in_time(client.transaction()).await.map_err(doing)?;
        match self.shared.store.begin_bounded(&mut tx, self.in_flight.fence, isolation, check).await.map_err(doing)? {
            true => Ok(tx),
            false => Err(Error::fenced()),
        }
    }
}
