use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error as PgError;
use outbox_core::bytes::Bytes;

use super::lease::unread;
use super::{Fence, Store};
use crate::Error;

/// Work of a partition that does not come from its topic.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) action: Action,
    /// The held event.
    pub(crate) held: i64,
    pub(crate) key: Option<Bytes>,
    /// For the lane of an event without a key.
    pub(crate) offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The time for another attempt has come.
    Due,
    /// Asked for by the request of this number: attempts anew.
    Retry(i64),
    /// Asked for by the request of this number: to be forgotten.
    Discard(i64),
}

impl Store {
    /// What is due for a partition and what was asked of it.
    ///
    /// # Errors
    /// The partition is under another epoch: somebody has taken it, or moved its position.
    pub(crate) async fn errands(&self, topic: &str, partition: i32, fence: Fence) -> Result<Vec<Errand>, Error> {
        let client = self.connection().await?;
        let rows = self.on_client(&client).query(&self.statements.errands, &[&self.group, &topic, &partition]).await;
        let rows = rows.map_err(|e| Error::store("read what is due", e))?;
        let (mut errands, mut epoch) = (Vec::new(), None);
        for row in rows {
            let (action, number): (&str, i64) = (row.try_get(0).map_err(unread)?, row.try_get(1).map_err(unread)?);
            let action = match action {
                "epoch" => {
                    epoch = Some(number);
                    continue;
                }
                "discard" => Action::Discard(number),
                _ if number != 0 => Action::Retry(number),
                _ => Action::Due,
            };
            let errand = || {
                let key: Option<Vec<u8>> = row.try_get(3)?;
                let offset: Option<i64> = row.try_get(4)?;
                Ok(Errand { action, held: row.try_get(2)?, key: key.map(Bytes::from), offset: offset.unwrap_or(0) })
            };
            errands.push(errand().map_err(unread)?);
        }
        if epoch == Some(fence.epoch) { Ok(errands) } else { Err(Error::fenced()) }
    }

    /// Marks a request as carried out; false where it was already.
    pub(crate) async fn done(&self, tx: &Transaction<'_>, request: i64) -> Result<bool, PgError> {
        Ok(self.in_transaction(tx).query_opt(&self.statements.done, &[&request]).await?.is_some())
    }
}
