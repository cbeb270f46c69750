use std::collections::{BTreeSet, HashSet};

use deadpool_postgres::tokio_postgres::types::ToSql;
use outbox_core::bytes::Bytes;
use outbox_core::uuid::Uuid;

use super::driver::Command;
use super::{Fence, PgError, SettingsCheck, Store, Transaction};
use crate::{Error, Isolation};

/// An event that enters the inbox.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `None` if the record cannot be decoded: only its key is looked up.
    pub id: Option<Uuid>,
    pub offset: i64,
    pub key: Option<Bytes>,
}

/// The state that a transaction found at its begin.
#[derive(Debug, Default)]
pub struct Begun {
    /// The events that the inbox did not have. If this transaction commits, it has them.
    pub new: HashSet<Uuid>,
    /// The keys that are blocked.
    pub blocked: HashSet<Vec<u8>>,
}

impl Store {
    /// Bounds the transaction, checks the fence, takes the events in as handled and looks for blocked keys, in one
    /// round trip. `None` if the partition is under another epoch: then roll back.
    pub async fn begin(
        &self,
        tx: &mut Transaction<'_>,
        fence: Fence,
        topic: &str,
        entries: &[Entry],
        isolation: Isolation,
        check: SettingsCheck,
    ) -> Result<Option<Begun>, PgError> {
        let (ids, offsets): (Vec<Uuid>, Vec<i64>) =
            entries.iter().filter_map(|entry| Some((entry.id?, entry.offset))).unzip();
        let keys: BTreeSet<&[u8]> = entries.iter().filter_map(|entry| entry.key.as_deref()).collect();
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let bounds = self.bounds(fence, isolation, entries.len(), check);
        let (take_in, blocked) = (&self.statements.inbox.take_in, &self.statements.inbox.blocked);
        let events: [&(dyn ToSql + Sync); 5] = [&self.group, &"handled", &fence.position, &ids, &offsets];
        let owner: [&(dyn ToSql + Sync); 2] = [&fence.position, &fence.epoch];
        let keys: [&(dyn ToSql + Sync); 3] = [&self.group, &topic, &keys];
        let commands = [
            Command::Script(&bounds),
            Command::Statement(&self.statements.position.read_fence, &owner),
            Command::Statement(take_in, &events),
            Command::Statement(blocked, &keys),
        ];

        let mut answers = self.in_transaction(tx).send_all(&commands).await;

        // The error of the first statement counts, because it aborts the transaction for the others.
        answers.next()?;
        if answers.next()?.is_empty() {
            return Ok(None);
        }

        let (new, blocked) = (answers.next()?, answers.next()?);
        self.prepare_end(tx, isolation, check).await?;

        Ok(Some(Begun {
            new: new.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            blocked: blocked.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
        }))
    }

    /// Begins as [`begin`](Self::begin) does, without events. Returns `false` if the partition is under another epoch.
    pub async fn begin_bounded(
        &self,
        tx: &mut Transaction<'_>,
        fence: Fence,
        isolation: Isolation,
        check: SettingsCheck,
    ) -> Result<bool, PgError> {
        let bounds = self.bounds(fence, isolation, 1, check);
        let owner: [&(dyn ToSql + Sync); 2] = [&fence.position, &fence.epoch];
        let commands = [Command::Script(&bounds), Command::Statement(&self.statements.position.read_fence, &owner)];
        let mut answers = self.in_transaction(tx).send_all(&commands).await;
        answers.next()?;
        let is_ours = !answers.next()?.is_empty();
        self.prepare_end(tx, isolation, check).await?;
        Ok(is_ours)
    }

    /// Adds an event to the inbox, in this state. Returns whether it was new.
    pub async fn take_in(
        &self,
        tx: &mut Transaction<'_>,
        fence: Fence,
        id: Uuid,
        offset: i64,
        state: &str,
    ) -> Result<bool, PgError> {
        let (mut executor, sql) = (self.in_transaction(tx), &self.statements.inbox.take_in);
        let row = executor.query_opt(sql, &[&self.group, &state, &fence.position, &vec![id], &vec![offset]]).await?;
        Ok(row.is_some())
    }

    pub async fn set_state(&self, tx: &mut Transaction<'_>, ids: &[Uuid], state: &str) -> Result<(), PgError> {
        self.in_transaction(tx).query(&self.statements.inbox.set_state, &[&self.group, &ids, &state]).await.map(drop)
    }

    /// Returns the events that the inbox of the group has.
    pub async fn known(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, Error> {
        let mut client = self.connection().await?;
        let rows = self.on_client(&mut client).query(&self.statements.inbox.known, &[&self.group, &ids]).await;
        let rows = rows.map_err(|e| Error::store("read the inbox", e))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(super::lease::unread)
    }

    /// Returns whether a key is blocked.
    pub async fn is_blocked(&self, topic: &str, key: Option<&[u8]>) -> Result<bool, Error> {
        let Some(key) = key else { return Ok(false) };
        let mut client = self.connection().await?;
        let row = self
            .on_client(&mut client)
            .query_opt(&self.statements.inbox.blocked, &[&self.group, &topic, &vec![key]])
            .await;
        row.map(|row| row.is_some()).map_err(|e| Error::store("read the blocked keys", e))
    }
}
