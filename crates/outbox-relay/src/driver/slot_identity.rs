use tokio::sync::watch;

use crate::Lsn;
use outbox_wal::{Opened, SlotCounters, SystemId};

/// The slot as this relay held it last, by which a new slot of the same name is recognised.
///
/// PostgreSQL gives slots no identity. A new slot begins at the end of the WAL, and its statistics begin at zero.
#[derive(Debug)]
pub struct SlotIdentity {
    /// The WAL of the last session, and the position up to which it was confirmed.
    last: Option<(SystemId, Lsn)>,
    counters: watch::Sender<Option<SlotCounters>>,
    /// The reason why events are missing, with the remedy.
    loss: Option<String>,
}

impl Default for SlotIdentity {
    fn default() -> Self {
        Self { last: None, counters: watch::Sender::new(None), loss: None }
    }
}

impl SlotIdentity {
    /// Records the end of a session.
    pub fn ended(&mut self, confirmed: Lsn) {
        if let Some((_, last)) = &mut self.last {
            *last = confirmed.max(*last);
        }
    }

    /// Returns the place in which a session stores the slot's statistics.
    pub fn counters(&self) -> watch::Sender<Option<SlotCounters>> {
        self.counters.clone()
    }

    /// Compares a slot that was taken with the last one. Returns why events are missing, if the slot was dropped and
    /// created again.
    pub fn taken(&mut self, opened: &Opened, slot: &str) -> Option<String> {
        let now = opened.slot.confirmed_flush_lsn;
        let before = self.counters.send_replace(opened.counters.clone());
        let last = self.last.replace((opened.system, now));

        if let Some((system, confirmed)) = last
            && system == opened.system
            && now > confirmed
        {
            let is_new =
                opened.counters.as_ref().zip(before.as_ref()).is_some_and(|(now, old)| now.is_of_newer_slot(old));
            if is_new {
                self.loss = Some(reason(slot, confirmed, now));
            } else {
                tracing::info!(target: "outbox.relay", slot, %confirmed, %now, "another reader has moved the replication slot");
            }
        }
        self.loss.clone()
    }
}

fn reason(slot: &str, confirmed: Lsn, now: Lsn) -> String {
    format!(
        "the replication slot {slot:?} was dropped and created again: what was committed between {confirmed} and {now} is not \
         sent. Publish the events of that time again from the table (docs/guides/replay.md), and restart the relay"
    )
}
