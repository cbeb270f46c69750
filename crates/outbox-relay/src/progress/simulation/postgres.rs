use crate::Lsn;
use crate::position::Position;

/// The server: committed transactions of the outbox table, and the slot.
#[derive(Debug)]
pub struct Postgres {
    pub transactions: Vec<Transaction>,
    pub flushed: u64,
    pub timeline: u32,
    pub confirmed: Lsn,
    /// The position that the slot goes back to when the server crashes.
    pub durable: Lsn,
    /// The process whose walsender holds the slot.
    pub holder: Option<u32>,
    /// Of every event, by number.
    pub positions: Vec<Position>,
}

#[derive(Debug)]
pub struct Transaction {
    pub commit: Lsn,
    pub end: Lsn,
    pub rows: Vec<Wire>,
}

/// A row, and the record made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    pub event: usize,
    pub topic: usize,
    pub key: usize,
    /// Its timestamp is older than the broker keeps a producer's state.
    pub is_old: bool,
    /// The broker takes it in no topic but the one for dead letters.
    pub is_poison: bool,
}

impl Postgres {
    pub fn new() -> Self {
        Self {
            transactions: Vec::new(),
            flushed: 100,
            timeline: 1,
            confirmed: Lsn::new(100),
            durable: Lsn::new(100),
            holder: None,
            positions: Vec::new(),
        }
    }

    /// Commits rows; their event numbers are given here.
    pub fn commit(&mut self, mut rows: Vec<Wire>) {
        let commit = Lsn::new(self.flushed + 8);
        for (index, row) in (0..).zip(&mut rows) {
            row.event = self.positions.len();
            self.positions.push(Position { commit, index });
        }
        self.flushed += 20;
        self.transactions.push(Transaction { commit, end: Lsn::new(self.flushed), rows });
    }

    /// Writes WAL of other tables.
    pub fn write_other(&mut self) {
        self.flushed += 50;
    }

    pub fn confirm(&mut self, holder: u32, lsn: Lsn) {
        if self.holder == Some(holder) {
            assert!(lsn.as_u64() <= self.flushed, "confirmed {lsn} before it was written");
            self.confirmed = self.confirmed.max(lsn);
        }
    }

    pub fn checkpoint(&mut self) {
        self.durable = self.confirmed;
    }

    pub fn crash(&mut self) {
        self.confirmed = self.durable;
        self.holder = None;
    }

    /// Promotes a standby that has this many transactions. Returns the events that it does not have; the positions of
    /// their rows are given again.
    pub fn fail_over(&mut self, kept: usize) -> Vec<usize> {
        self.crash();
        self.timeline += 1;
        let lost = self.transactions.split_off(kept);
        let end = self.transactions.last().map_or(self.durable, |last| last.end.max(self.durable));
        self.flushed = end.as_u64();
        lost.into_iter().flat_map(|transaction| transaction.rows).map(|wire| wire.event).collect()
    }

    /// Returns how many transactions a standby has at least: it has those that are confirmed for good.
    pub fn least_kept(&self) -> usize {
        self.transactions.partition_point(|transaction| transaction.end <= self.durable)
    }

    /// Returns where a stream from the confirmed position starts.
    pub fn first_unconfirmed(&self) -> usize {
        self.transactions.partition_point(|transaction| transaction.commit < self.confirmed)
    }
}
