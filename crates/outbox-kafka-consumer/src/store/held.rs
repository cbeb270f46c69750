//! Parked events and dead letters in the table `consumer_held`. Their SQL is in `statements/held.rs`, and the columns
//! that `Group` shows are in `admin.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use outbox_core::record::Record;
use outbox_core::uuid::Uuid;

use super::{PgError, Row, Store, Transaction};
use crate::group::EventState;
use crate::source::Message;
use crate::{Error, FailureKind};

/// An event that is to be held: parked until another attempt, parked behind its key, or dead.
#[derive(Debug)]
pub struct NewlyHeld<'a> {
    pub topic: &'a str,
    pub message: &'a Message,
    pub partition: i32,
    pub offset: i64,
    pub id: Option<Uuid>,
    pub event_type: Option<&'a str>,
    pub disposition: Disposition<'a>,
}

/// The treatment of an event that was not handled.
#[derive(Clone, Debug)]
pub struct Disposition<'a> {
    pub state: EventState,
    /// Whether its key waits for it.
    pub blocks: bool,
    pub attempts: i32,
    pub kind: FailureKind,
    pub error: &'a str,
    pub next_attempt: Option<Duration>,
}

/// An event that was held.
#[derive(Debug)]
pub struct HeldEvent {
    pub message: Message,
    pub offset: i64,
    pub id: Option<Uuid>,
    pub attempts: i32,
    /// Whether an attempt was begun during which the process ended.
    pub was_started: bool,
    /// Whether it is held for its own failure, and not only because of an earlier event of its key.
    pub was_tried: bool,
    pub is_due: bool,
}

/// The result of releasing an event.
#[derive(Clone, Copy, Debug)]
pub struct Released {
    /// The next event of its key, which is now due.
    pub next: Option<i64>,
}

impl Store {
    /// Holds an event, unless it is held already: at this offset, with the same id, or without an id the same record.
    pub async fn hold(&self, tx: &mut Transaction<'_>, held: &NewlyHeld<'_>) -> Result<(), PgError> {
        let NewlyHeld { topic, message, partition, offset, id, event_type, disposition } = held;
        let (names, values): (Vec<_>, Vec<_>) =
            message.headers().into_iter().map(|(name, value)| (self.storable(name), value)).unzip();

        let error = self.storable(disposition.error);
        let event_type = event_type.map(|name| self.storable(name));
        let (key, value) = (message.key(), message.value());
        let blocks = disposition.blocks && key.is_some();
        let next = disposition.next_attempt.map(super::seconds);
        let params: [&(dyn deadpool_postgres::tokio_postgres::types::ToSql + Sync); 17] = [
            &self.group,
            topic,
            partition,
            offset,
            id,
            &disposition.state.name(),
            &blocks,
            &key,
            &value,
            &names,
            &values,
            &message.timestamp(),
            &disposition.attempts,
            &disposition.kind.name(),
            &error,
            &next,
            &event_type,
        ];

        self.in_transaction(tx).query(&self.statements.held.hold, &params).await.map(drop)
    }

    /// Reads a held event, and locks it.
    pub async fn held(&self, tx: &mut Transaction<'_>, topic: &str, id: i64) -> Result<Option<HeldEvent>, PgError> {
        let row = self.in_transaction(tx).query_opt(&self.statements.held.held, &[&id, &self.group]).await?;
        row.map(|row| {
            Ok(HeldEvent {
                message: record(&row, topic)?.into(),
                offset: row.try_get("record_offset")?,
                id: row.try_get("event_id")?,
                attempts: row.try_get("attempts")?,
                was_started: row.try_get("started")?,
                was_tried: row.try_get("was_tried")?,
                is_due: row.try_get("is_due")?,
            })
        })
        .transpose()
    }

    /// Counts the attempt before it is made, so that one that ends the process counts too.
    pub async fn start_attempt(&self, tx: &mut Transaction<'_>, id: i64) -> Result<(), PgError> {
        let again = super::seconds(self.lease * 2);
        self.in_transaction(tx).query(&self.statements.held.start_attempt, &[&id, &again]).await.map(drop)
    }

    pub async fn hold_again(
        &self,
        tx: &mut Transaction<'_>,
        id: i64,
        disposition: &Disposition<'_>,
    ) -> Result<(), PgError> {
        let (mut executor, next) = (self.in_transaction(tx), disposition.next_attempt.map(super::seconds));
        let sql = &self.statements.held.hold_again;
        let error = self.storable(disposition.error);
        let Disposition { state, blocks, attempts, kind, .. } = disposition;
        executor.query(sql, &[&id, &state.name(), blocks, &kind.name(), &error, &next, attempts]).await?;
        if disposition.next_attempt.is_none() && !disposition.blocks {
            executor.query(&self.statements.held.release_next, &[&id]).await?;
        }
        Ok(())
    }

    /// Locks the events that block these keys, until the transaction ends. Returns whether all of them are still
    /// blocked.
    pub async fn keep_blocked(
        &self,
        tx: &mut Transaction<'_>,
        topic: &str,
        keys: &BTreeSet<&[u8]>,
    ) -> Result<bool, PgError> {
        let keys_in_order: Vec<&[u8]> = keys.iter().copied().collect();
        let (mut executor, sql) = (self.in_transaction(tx), &self.statements.held.lock_last);
        let locked = executor.query(sql, &[&self.group, &topic, &keys_in_order]).await?;
        Ok(locked.len() == keys.len())
    }

    /// Releases an event, and makes the next one of its key due. `None` if another transaction has released the event:
    /// then roll back.
    pub async fn release(&self, tx: &mut Transaction<'_>, id: i64) -> Result<Option<Released>, PgError> {
        let mut executor = self.in_transaction(tx);
        let next = executor.query_opt(&self.statements.held.release_next, &[&id]).await?;
        if executor.query_opt(&self.statements.held.release, &[&id]).await?.is_none() {
            return Ok(None);
        }
        let next = next.map(|row| row.try_get::<_, Option<i64>>(0)).transpose()?.flatten();
        Ok(Some(Released { next }))
    }

    /// Resets the attempts of a held event, which is due at once if it is the first of its key. Returns `false` if it
    /// is no longer held.
    pub async fn revive(&self, tx: &mut Transaction<'_>, id: i64) -> Result<bool, PgError> {
        let Some(row) = self.in_transaction(tx).query_opt(&self.statements.held.revive, &[&id]).await? else {
            return Ok(false);
        };
        let event: Option<Uuid> = row.try_get(0)?;
        if let Some(event) = event {
            self.set_state(tx, &[event], "parked").await?;
        }
        Ok(true)
    }

    /// Defers a due event, because its type is paused.
    pub async fn postpone(&self, id: i64) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let postponed = self.on_client(&mut client).query(&self.statements.held.postpone, &[&id]).await;
        postponed.map(drop).map_err(|e| Error::store("postpone a held event", e))
    }
}

/// Returns the record as it was received.
pub fn record(row: &Row, topic: &str) -> Result<Record, PgError> {
    let mut record = Record::new(topic);
    let bytes = |name: &str| row.try_get::<_, Option<Vec<u8>>>(name).map(|bytes| bytes.map(Into::into));
    record.key = bytes("record_key")?;
    record.value = bytes("record_value")?;
    record.timestamp = row.try_get("record_timestamp")?;
    let (names, values): (Vec<String>, Vec<Option<Vec<u8>>>) =
        (row.try_get("header_names")?, row.try_get("header_values")?);
    record.headers = names.into_iter().zip(values.into_iter().map(|value| value.map(Into::into))).collect();
    Ok(record)
}
