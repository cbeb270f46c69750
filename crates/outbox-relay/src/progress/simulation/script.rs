use super::postgres::Wire;
use super::world::World;

/// The steps of the tests of single schedules.
impl World {
    /// Commits one transaction with rows of these topics and keys.
    pub(super) fn commit_rows(&mut self, rows: &[(usize, usize)]) {
        let wire = |(topic, key): &(usize, usize)| Wire {
            event: 0,
            topic: *topic,
            key: *key,
            is_old: false,
            is_poison: false,
        };
        self.postgres.commit(rows.iter().map(wire).collect());
    }

    /// Commits a transaction of one row with a property.
    pub(super) fn commit_row(&mut self, topic: usize, change: impl FnOnce(&mut Wire)) {
        let mut wire = Wire { event: 0, topic, key: 0, is_old: false, is_poison: false };
        change(&mut wire);
        self.postgres.commit(vec![wire]);
    }

    /// Carries out everything that does not wait for a broker's answer to a batch.
    pub(super) fn carry_out_all(&mut self, index: usize) {
        while index < self.processes.len() && !self.processes[index].open.is_empty() {
            self.carry_out(index, 0);
        }
    }

    /// Reads the WAL, as far as there is room, and does everything except that requests arrive. Returns whether it
    /// read.
    pub(super) fn send(&mut self, index: usize) -> bool {
        let mut has_read = false;
        while self.read_wal(index) {
            has_read = true;
        }
        self.carry_out_all(index);
        has_read
    }

    /// Runs to the end of the WAL; requests that somebody waits for arrive and are answered, others do not arrive.
    pub(super) fn run(&mut self, index: usize) {
        loop {
            let has_read = self.send(index);
            match self.network.iter().position(|flying| flying.is_awaited) {
                Some(flying) => self.arrive(flying, true),
                None if has_read => {}
                None => break,
            }
        }
    }

    /// Ends the process and lets another take over.
    pub(super) fn take_over(&mut self) {
        self.end(0);
        self.acquire();
    }

    /// Crashes PostgreSQL: the slot goes back to where it was at the last checkpoint.
    pub(super) fn slot_goes_back(&mut self) {
        self.postgres.crash();
        self.take_over();
    }

    pub(super) fn events(&self, topic: usize, partition: usize) -> Vec<usize> {
        self.broker.topics[topic][partition].records.iter().filter_map(|stored| stored.event()).collect()
    }
}
