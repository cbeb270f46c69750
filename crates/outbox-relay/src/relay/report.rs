use std::sync::Arc;

use futures_util::FutureExt as _;

use super::hold::Hold;
use super::rounds;
use crate::Lsn;
use crate::progress::{Counters, PartitionId};
use crate::status::{Mode, Turn};

impl Hold {
    /// Counts what the broker has acknowledged since `before`.
    pub(super) fn wrote(&self, id: PartitionId, before: Counters) {
        let new = self.progress.counters().since(before);
        if new.repeats_as_new > 0 {
            self.sender.report_repeats();
        }
        if let (1.., Some((topic, _))) = (new.acknowledged, self.topics.place(id)) {
            self.status.wrote(topic.name(), new.acknowledged, new.acknowledged_bytes);
        }
    }

    /// Begins what is to be looked at now.
    pub(super) fn look(&mut self) {
        if self.rounds.topics.begin() {
            self.jobs.push(rounds::topics(Arc::clone(&self.cluster), self.topics.all()).boxed());
        }
        if self.rounds.slot.begin() {
            self.jobs.push(rounds::slot(self.options.clone(), self.source.clone()).boxed());
        }
    }

    /// Returns how much WAL the slot held when it was taken, and how much of it is still to be read.
    fn catch_up(&self) -> (u64, u64) {
        let read = self.commit.max(self.progress.confirmable());
        let until_end = |from: Lsn| self.window.end.as_u64().saturating_sub(from.as_u64());
        (until_end(self.window.confirmed), until_end(read))
    }

    pub(super) fn count_ignored(&mut self) {
        let ignored = self.feed.take_ignored();
        self.updates.add(ignored.updates);
        self.status.ignored(ignored);
    }

    /// Tells what a turn of the loop has come to.
    pub(super) fn turned(&mut self, mode: Mode) {
        let counters = self.progress.counters();
        let confirmed = self.confirmation.confirmed();
        let turn = Turn {
            mode,
            rows: self.progress.buffered_rows(),
            bytes: self.progress.buffered_bytes(),
            confirmed,
            server: self.feed.server(),
            oldest: self.marks.oldest(confirmed),
            catch_up: self.catch_up(),
        };
        self.count_ignored();
        self.status.turned(turn, counters.since(self.counted));
        self.counted = counters;
    }
}
