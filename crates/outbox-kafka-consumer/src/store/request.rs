use std::collections::{HashMap, HashSet};

use outbox_core::bytes::Bytes;

use super::lease::unread;
use super::{Fence, Paused, PgError, Row, Store, Transaction};
use crate::Error;

/// Work of a partition that does not come from its topic.
#[derive(Clone, Debug)]
pub struct HeldEventTask {
    pub action: Action,
    /// The held event.
    pub held: i64,
    pub key: Option<Bytes>,
    /// The offset, which selects the lane of an event without a key.
    pub offset: i64,
    event_type: Option<String>,
}

impl HeldEventTask {
    /// The largest number of events of a kind in one answer for a partition.
    pub const MOST: usize = 200;

    /// Returns the type of the held event; empty if it is not known.
    pub fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The time for another attempt has come.
    Due,
    /// A retry, by the request of this number.
    Retry(i64),
    /// A discard, by the request of this number.
    Discard(i64),
}

/// A partition whose due events are queried.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub fence: Fence,
    /// Whether it accepts work now. The query reports in any case whether it is fenced off.
    pub takes_errands: bool,
}

/// The work that is due for the partitions of a process.
#[derive(Debug, Default)]
pub struct Due {
    /// The partitions, by the id of their position.
    pub errands: HashMap<i64, Vec<HeldEventTask>>,
    /// The partitions that are under another epoch: another owner has taken them, or their position was moved.
    pub fenced: HashSet<Fence>,
    pub paused: Vec<Paused>,
}

impl Store {
    /// Returns due events and requests of partitions, at most 200 of each kind for each partition.
    pub async fn due(&self, wanted: &[Wanted]) -> Result<Due, Error> {
        let ids: Vec<i64> = wanted.iter().map(|wanted| wanted.fence.position).collect();
        let epochs: Vec<i64> = wanted.iter().map(|wanted| wanted.fence.epoch).collect();
        let takes: Vec<bool> = wanted.iter().map(|wanted| wanted.takes_errands).collect();
        let mut client = self.connection().await?;
        let rows =
            self.on_client(&mut client).read(&self.statements.held.due, &[&self.group, &ids, &epochs, &takes]).await;
        let rows = rows.map_err(|e| Error::store("read what is due", e))?;

        let mut due = Due::default();
        rows.iter().try_for_each(|row| due.add(row)).map_err(unread)?;
        Ok(due)
    }

    /// Marks a request as carried out; false if it was already.
    pub async fn done(&self, tx: &mut Transaction<'_>, request: i64, outcome: &str) -> Result<bool, PgError> {
        Ok(self.in_transaction(tx).query_opt(&self.statements.operator.done, &[&request, &outcome]).await?.is_some())
    }
}

impl Due {
    /// Adds a row: a lost fence, a pause, a request of an operator, or a held event whose retry is due.
    fn add(&mut self, row: &Row) -> Result<(), PgError> {
        let (position, kind, request): (i64, &str, i64) =
            (row.try_get("id")?, row.try_get("kind")?, row.try_get("request")?);
        let action = match kind {
            "fenced" => {
                self.fenced.insert(Fence { position, epoch: request });
                return Ok(());
            }
            "paused" => {
                self.paused.push(Paused { topic: row.try_get("topic")?, event_type: row.try_get("event_type")? });
                return Ok(());
            }
            "discard" => Action::Discard(request),
            "retry" => Action::Retry(request),
            _ => Action::Due,
        };

        let key: Option<Vec<u8>> = row.try_get("record_key")?;
        let (held, offset) = (row.try_get("held")?, row.try_get("record_offset")?);
        let errand =
            HeldEventTask { action, held, key: key.map(Bytes::from), offset, event_type: row.try_get("event_type")? };

        self.errands.entry(position).or_default().push(errand);
        Ok(())
    }
}
