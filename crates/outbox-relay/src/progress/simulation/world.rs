use std::collections::HashSet;

use super::broker::{Answer, Broker, DEAD_LETTERS, Request, Stored, StoredContent};
use super::judge::{Fault, judge_stop};
use super::mutation::Mutation;
use super::postgres::{Postgres, Wire};
use super::process::{Open, PendingRequest, Process, Topics, WalEvent, partition_id, place};
use crate::Lsn;
use crate::progress::{Arrival, Outcome};

/// PostgreSQL, Kafka, the network between, and the relays that hold the slot or believe that they do.
#[derive(Debug)]
pub struct World {
    pub postgres: Postgres,
    pub broker: Broker,
    pub processes: Vec<Process>,
    pub network: Vec<Flying>,
    /// Events whose records were removed by retention or with their topic.
    pub removed: HashSet<usize>,
    /// Events that a failover took from the database. Kafka may have them.
    pub taken_back: HashSet<usize>,
    /// Whether a process stops at a poison row, which the next one leaves out.
    pub stops: bool,
    pub left_out: HashSet<usize>,
    /// The work that a process has left undone when it stopped.
    pub fault: Option<Fault>,
    pub scan_limit: usize,
    pub batch_rows: usize,
    pub max_buffered: usize,
    pub topics: Topics,
    pub mutation: Mutation,
    /// The events of a schedule, to explain a failure.
    pub story: Option<Vec<String>>,
    take_overs: u32,
}

/// A produce request in flight.
#[derive(Debug)]
pub struct Flying {
    pub request: Request,
    /// Its sender has not given up on it.
    pub is_awaited: bool,
}

impl World {
    pub fn new(partitions: usize) -> Self {
        Self {
            postgres: Postgres::new(),
            broker: Broker::new(partitions),
            processes: Vec::new(),
            network: Vec::new(),
            removed: HashSet::new(),
            taken_back: HashSet::new(),
            stops: false,
            left_out: HashSet::new(),
            fault: None,
            scan_limit: usize::MAX,
            batch_rows: 3,
            max_buffered: 10,
            topics: Topics::Known,
            mutation: Mutation::None,
            story: None,
            take_overs: 0,
        }
    }

    pub fn report(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    /// Acquires the slot for a relay, if it is free.
    pub fn acquire(&mut self) {
        if self.postgres.holder.is_none() {
            self.take_overs += 1;
            self.postgres.holder = Some(self.take_overs);
            let counts = self.broker.topics.iter().map(Vec::len).collect();
            let limits = (self.batch_rows, self.max_buffered);
            let (number, confirmed, end) = (self.take_overs, self.postgres.confirmed, self.postgres.flushed);
            self.report(|| format!("process {number} acquires the slot at {confirmed}, window to {end:X}"));
            let process = Process::new(self.take_overs, &self.postgres, counts, limits.0, limits.1, self.topics);
            self.processes.push(process.stopping_at_poison(self.stops));
        }
    }

    /// Takes the slot away from its holder, which does not know it yet.
    pub fn lose_slot(&mut self) {
        let received = self.postgres.transactions.len();
        for process in &mut self.processes {
            process.received.get_or_insert(received);
        }
        self.postgres.holder = None;
        self.report(|| "the slot is lost".to_owned());
    }

    /// Promotes a standby that has this many transactions; who has read more does not know it.
    pub fn fail_over(&mut self, kept: usize) {
        self.lose_slot();
        for process in &mut self.processes {
            process.received = process.received.min(Some(kept));
        }
        self.taken_back.extend(self.postgres.fail_over(kept));
        self.report(|| format!("a standby with {kept} transactions is promoted"));
    }

    /// Ends the process, or drops its state because it has noticed that the slot was lost.
    pub fn end(&mut self, index: usize) {
        let process = self.processes.remove(index);
        self.report(|| format!("process {} ends", process.number));
        if self.postgres.holder == Some(process.number) {
            self.postgres.holder = None;
        }
        for flying in self.network.iter_mut().filter(|flying| flying.request.sender == process.number) {
            flying.is_awaited = false;
        }
    }

    /// Ends the processes that have written all rows before their poison rows; from then on these rows are left out.
    pub fn end_stopped(&mut self) {
        while let Some(index) = self.processes.iter().position(|process| process.has_stopped(self.mutation)) {
            let found = judge_stop(self, &self.processes[index]).err();
            self.fault = self.fault.take().or(found);
            self.left_out.extend(self.processes[index].stopping.map(|(_, event)| event));
            self.end(index);
        }
    }

    pub fn read_wal(&mut self, index: usize) -> bool {
        let process = &mut self.processes[index];
        let event = process.read_wal(&self.postgres, &self.left_out);
        if let (Some(WalEvent::Commit(end)), Mutation::ConfirmOnReceipt) = (event, self.mutation) {
            self.postgres.confirm(process.number, end);
        }
        self.poll(index);
        event.is_some()
    }

    fn poll(&mut self, index: usize) {
        let process = &mut self.processes[index];
        for asked in process.poll() {
            match asked {
                PendingRequest::Confirm(lsn) => {
                    let lsn = match self.mutation {
                        Mutation::ConfirmCommitInsteadOfEnd => commit_before(&self.postgres, lsn),
                        _ => lsn,
                    };
                    self.postgres.confirm(process.number, lsn);
                }
                PendingRequest::Produce(id) => {
                    let batch = process.progress.batch(id).unwrap();
                    let (topic, partition) = place(id);
                    let request = Request {
                        sender: process.number,
                        timeline: process.timeline,
                        topic,
                        partition,
                        producer: batch.producer,
                        base_sequence: batch.base_sequence,
                        rows: batch.rows.iter().map(|row| (row.record, row.position)).collect(),
                    };
                    self.network.push(Flying { request, is_awaited: true });
                }
            }
        }
    }

    /// Carries on with one thing that the driver has under way.
    pub fn carry_out(&mut self, index: usize, open: usize) {
        let process = &mut self.processes[index];
        match process.open.swap_remove(open) {
            Open::Read { partition, from } => {
                let snapshot = self.read_log(index, partition, from);
                self.processes[index].open.push(snapshot);
                return;
            }
            Open::Snapshot { partition, seen, tail } => {
                for seen in seen {
                    process.progress.seen(partition, seen);
                }
                process.progress.tail_read(partition, tail);
            }
            Open::ProveHeld => {
                if self.postgres.holder != Some(process.number) && self.mutation != Mutation::NoProofOfHold {
                    return self.end(index);
                }
                process.progress.held();
            }
            Open::Topic(topic) => process.learn(topic),
            Open::NewProducer => process.progress.producer(self.broker.init_producer_id()),
            Open::Poison(poison) => {
                let (_, record) = poison.refused.unwrap();
                process.progress.dead_letter(poison, partition_id(DEAD_LETTERS, 0), record, 1);
            }
            Open::Answer { partition, outcome } => process.progress.produced(partition, outcome),
        }
        self.poll(index);
    }

    /// Delivers the request to the broker. Its answer may get lost.
    pub fn arrive(&mut self, flying: usize, is_answered: bool) {
        let Flying { request, is_awaited } = self.network.swap_remove(flying);
        let answer = self.broker.produce(&request);
        self.report(|| {
            let Request { sender, topic, partition, producer, base_sequence, rows, .. } = &request;
            let events: Vec<usize> = rows.iter().map(|(wire, _)| wire.event).collect();
            let at = format!("{topic}-{partition} {}/{}/{base_sequence}", producer.id, producer.epoch);
            format!("from {sender} at {at}: {events:?} -> {answer:?} (awaited: {is_awaited}, answered: {is_answered})")
        });
        let log = self.broker.topics[request.topic].get_mut(request.partition);
        if let Some(log) = log.filter(|log| log.known_to < request.sender) {
            (log.known_to, log.found) = (request.sender, Some(request.producer.id));
        }

        if is_awaited {
            self.answer(&request, is_answered.then_some(answer));
        }
    }

    /// Gives the request up at the sender; it may still arrive.
    pub fn time_out(&mut self, flying: usize) {
        if std::mem::take(&mut self.network[flying].is_awaited) {
            let request = self.network[flying].request.clone();
            self.answer(&request, None);
        }
    }

    pub fn drop_request(&mut self, flying: usize) {
        self.time_out(flying);
        self.network.swap_remove(flying);
    }

    fn answer(&mut self, request: &Request, answer: Option<Answer>) {
        let Some(process) = self.processes.iter_mut().find(|process| process.number == request.sender) else { return };
        let partition = partition_id(request.topic, request.partition);
        let outcome = match &answer {
            None if self.mutation == Mutation::NewProducerWhenUnknown => Outcome::InvalidEpoch,
            None => Outcome::Unknown,
            Some(Answer::Appended(offset)) => appended(*offset, Arrival::Now),
            Some(Answer::HadAlready(offset)) => {
                let has_told = std::mem::replace(&mut process.told[partition.0 as usize], true);
                let hides = has_told && self.mutation == Mutation::HideRepetitions;
                let is_told = self.broker.tells && !hides;
                appended(*offset, if is_told { Arrival::NowOrBefore } else { Arrival::Now })
            }
            Some(Answer::OutOfOrder) => Outcome::OutOfOrder,
            Some(Answer::InvalidEpoch) => Outcome::InvalidEpoch,
            Some(Answer::NoPartition) => Outcome::NotAppended,
            // Some refusals name the rows, others do not.
            Some(Answer::Rejected(rows)) if request.rows[0].0.event.is_multiple_of(2) => {
                Outcome::Rejected { rows: rows.clone() }
            }
            Some(Answer::Rejected(_)) => Outcome::Rejected { rows: Vec::new() },
        };

        process.outcomes[partition.0 as usize] = answer;
        process.open.push(Open::Answer { partition, outcome });
    }

    /// Removes the head of a partition, as retention does.
    pub fn cut(&mut self, topic: usize, partition: usize, count: usize) {
        let log = &mut self.broker.topics[topic][partition];
        let count = count.min(log.records.len());
        let removed = log.cut(count);
        let own_left = log.records.iter().any(Stored::is_own);
        if removed.iter().any(|event| self.postgres.positions[*event].commit >= self.postgres.durable) {
            log.excuse("retention cut the window");
        } else if !removed.is_empty() && !own_left {
            log.excuse("late under an unknown producer id");
        }
        self.removed.extend(removed);
    }

    pub fn recreate(&mut self, topic: usize) {
        self.removed.extend(self.broker.recreate(topic));
    }

    /// Writes Debezium's record of an event.
    pub fn write_as_debezium(&mut self, wire: &Wire) {
        let topic = &mut self.broker.topics[wire.topic];
        let partition = wire.key % topic.len();
        topic[partition].records.push(Stored { written_by: None, content: StoredContent::Debezium(wire.event) });
    }

    pub fn write_foreign(&mut self, topic: usize, partition: usize) {
        let stored = Stored { written_by: None, content: StoredContent::Foreign };
        self.broker.topics[topic][partition].records.push(stored);
    }
}

fn appended(offset: usize, arrival: Arrival) -> Outcome {
    Outcome::Appended { base_offset: i64::try_from(offset).unwrap(), arrival }
}

fn commit_before(postgres: &Postgres, lsn: Lsn) -> Lsn {
    let before = postgres.transactions.partition_point(|transaction| transaction.end <= lsn);
    before.checked_sub(1).map_or(lsn, |index| postgres.transactions[index].commit)
}
