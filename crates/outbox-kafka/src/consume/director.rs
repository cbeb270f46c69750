use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::inbox::{Delivered, Inbox};
use super::request::{Outcome, Request, Response, Wanted};
use super::shared::{Opened, Queue};
use super::{Budget, FetchLimits};
use crate::connection::Connection;
use crate::error::{Error, Kind};
use crate::{Cluster, ErrorCode, Topic};

/// The time that a broker waits for records while a partition has no room: it must be able to join soon.
const SHORT_WAIT: Duration = Duration::from_millis(20);
/// The bytes that a partition may fetch if the budget is used up and its stream waits.
const LEAST: usize = 64 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The leader changed, or the broker has not caught up yet: these errors say nothing about the partition.
const PASSING: [ErrorCode; 4] = [
    // UNKNOWN_SERVER_ERROR
    ErrorCode(-1),
    // KAFKA_STORAGE_ERROR
    ErrorCode(56),
    // FETCH_SESSION_ID_NOT_FOUND
    ErrorCode(70),
    // OFFSET_NOT_AVAILABLE
    ErrorCode(78),
];

/// A partition that is read.
#[derive(Debug)]
struct Assigned {
    topic: Arc<Topic>,
    partition: i32,
    inbox: Arc<Inbox>,
    leader: Leader,
    /// The bytes that one batch needs.
    room: usize,
    /// The turn in which the broker last sent records of the partition. Partitions with an earlier turn come first in a
    /// request.
    served: u64,
    pause: Duration,
}

#[derive(Debug)]
enum Leader {
    Unknown { not_before: Instant },
    Requested,
    Known { connection: Connection, described: Arc<Topic>, not_before: Instant },
}

impl Assigned {
    fn new(Opened { topic, partition, inbox }: Opened) -> Self {
        let leader = Leader::Unknown { not_before: Instant::now() };
        Self { topic, partition, inbox, leader, room: 0, served: 0, pause: FIRST_PAUSE }
    }

    /// Schedules another request to the leader.
    fn wait(&mut self) {
        let until = self.paused();
        if let Leader::Known { not_before, .. } = &mut self.leader {
            *not_before = until;
        }
    }

    /// Returns when the next attempt is due. Each pause is longer than the one before.
    fn paused(&mut self) -> Instant {
        let until = Instant::now() + self.pause;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        until
    }
}

type Resolved = (u64, Result<(Connection, Arc<Topic>), Error>);

/// The task of a fetcher: finds leaders, and has at most one request at each broker.
pub(super) struct Director {
    cluster: Arc<Cluster>,
    limits: FetchLimits,
    budget: Budget,
    queue: Arc<Queue>,
    partitions: HashMap<u64, Assigned>,
    opened: u64,
    answers: u64,
    resolving: JoinSet<Resolved>,
    requests: JoinSet<Response>,
    /// The addresses of brokers with a request.
    busy: HashSet<Box<str>>,
    throttled: HashMap<Box<str>, Instant>,
    /// A partition waits for a part of the budget.
    is_starved: bool,
}

impl Director {
    pub(super) fn new(cluster: Arc<Cluster>, limits: FetchLimits, budget: Budget, queue: Arc<Queue>) -> Self {
        Self {
            cluster,
            limits,
            budget,
            queue,
            partitions: HashMap::new(),
            opened: 0,
            answers: 0,
            resolving: JoinSet::new(),
            requests: JoinSet::new(),
            busy: HashSet::new(),
            throttled: HashMap::new(),
            is_starved: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            for assigned in self.queue.opened().into_iter().map(Assigned::new) {
                self.opened += 1;
                self.partitions.insert(self.opened, assigned);
            }
            self.partitions.retain(|_, assigned| !assigned.inbox.lock().is_closed);
            let mut due = self.resolve();
            due = earliest(due, self.send());

            let wake = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                () = self.queue.changed.notified() => {}
                () = self.budget.freed(), if self.is_starved => {}
                Some(Ok(resolved)) = self.resolving.join_next() => self.resolved(resolved),
                Some(Ok(response)) = self.requests.join_next() => self.answered(response),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Looks for the leaders that are not known. Returns when the next one is due.
    fn resolve(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut due = None;

        for (id, assigned) in &mut self.partitions {
            if let Leader::Known { connection, not_before, .. } = &assigned.leader
                && !connection.is_usable()
                && *not_before <= now
            {
                assigned.leader = Leader::Unknown { not_before: now };
            }
            match &assigned.leader {
                Leader::Unknown { not_before } if *not_before <= now => {
                    assigned.leader = Leader::Requested;
                    let (cluster, topic) = (Arc::clone(&self.cluster), Arc::clone(&assigned.topic));
                    let (id, partition) = (*id, assigned.partition);
                    self.resolving.spawn(async move {
                        let leader = cluster.leader(&topic, partition).await;
                        (id, leader.map_err(|e| e.of_partition(topic.name(), partition)))
                    });
                }
                Leader::Unknown { not_before } => due = earliest(due, Some(*not_before)),
                Leader::Known { not_before, .. } if *not_before > now => due = earliest(due, Some(*not_before)),
                _ => {}
            }
        }
        due
    }

    fn resolved(&mut self, (id, resolved): Resolved) {
        let Some(assigned) = self.partitions.get_mut(&id) else { return };
        match resolved {
            Ok((connection, described)) => {
                assigned.leader = Leader::Known { connection, described, not_before: Instant::now() };
            }
            Err(e) => {
                // The topic was re-created. Only the reader can decide what follows.
                let is_passing = is_passing(&e) && e.code() != Some(ErrorCode::UNKNOWN_TOPIC_ID);
                assigned.inbox.fail(e, is_passing);
                assigned.leader = Leader::Unknown { not_before: assigned.paused() };
            }
        }
    }

    /// Sends each broker that is free a request. Returns when the next broker may be asked again.
    fn send(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut due = None;
        self.throttled.retain(|_, until| *until > now);
        self.is_starved = false;
        let mut brokers: BTreeMap<&str, Vec<(u64, &Assigned)>> = BTreeMap::new();
        for (id, assigned) in &self.partitions {
            if let Leader::Known { connection, not_before, .. } = &assigned.leader
                && *not_before <= now
                && !self.busy.contains(connection.broker())
            {
                match self.throttled.get(connection.broker()) {
                    Some(until) => due = earliest(due, Some(*until)),
                    None => brokers.entry(connection.broker()).or_default().push((*id, assigned)),
                }
            }
        }

        let mut sent = Vec::new();
        for (broker, partitions) in brokers {
            let request = self.request(partitions);
            match request {
                Some(request) => {
                    self.requests.spawn(request.send(self.budget.clone()));
                    sent.push(broker.into());
                }
                None if self.budget.left() < LEAST => self.is_starved = true,
                None => {}
            }
        }
        self.busy.extend(sent);
        due
    }

    /// Returns a request for those of a broker's partitions that have room, if there are any.
    fn request(&self, mut partitions: Vec<(u64, &Assigned)>) -> Option<Request> {
        partitions.sort_unstable_by_key(|(id, assigned)| (assigned.served, *id));
        let left = self.budget.left();
        let is_short = left < LEAST;
        let usual = if is_short { LEAST } else { self.limits.partition };
        let (mut wanted, mut connection, mut is_any_full) = (Vec::new(), None, false);

        for (id, assigned) in partitions {
            let Leader::Known { connection: known, .. } = &assigned.leader else { continue };
            let state = assigned.inbox.lock();
            is_any_full |= state.is_full(self.limits.partition);
            let Some(offset) = state.wanted(if is_short { 1 } else { self.limits.partition }) else { continue };
            if is_short && !state.is_awaited {
                continue;
            }

            wanted.push(Wanted {
                id,
                topic: Arc::clone(&assigned.topic),
                partition: assigned.partition,
                offset,
                room: i32::try_from(usual.max(assigned.room)).unwrap_or(i32::MAX),
                round: state.round,
            });
            connection.get_or_insert_with(|| known.clone());
        }

        let max_bytes = if is_short { LEAST } else { self.limits.request.min(left) };
        let largest = wanted.iter().map(|wanted| wanted.room).max()?;

        Some(Request {
            connection: connection?,
            wanted,
            max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX).max(largest),
            max_wait: if is_any_full || is_short { SHORT_WAIT } else { self.limits.max_wait },
        })
    }

    /// Handles the outcome of a request: delivers records to the inboxes, and schedules retries.
    fn answered(&mut self, response: Response) {
        let broker = response.connection.broker();
        self.busy.remove(broker);

        if !response.throttle.is_zero() {
            self.throttled.insert(broker.into(), Instant::now() + response.throttle);
        }
        self.answers += 1;

        for (wanted, outcome) in response.outcomes {
            let Some(assigned) = self.partitions.get_mut(&wanted.id) else { continue };
            let error = match outcome {
                Outcome::Answered(answer) => {
                    match assigned.inbox.deliver(answer, wanted.round) {
                        Delivered::Records => {
                            (assigned.served, assigned.room, assigned.pause) = (self.answers, 0, FIRST_PAUSE);
                        }
                        Delivered::CutOff => {
                            let room = usize::try_from(wanted.room).unwrap_or(usize::MAX);
                            assigned.room = room.saturating_mul(4).min(self.cluster.settings().max_answer);
                        }
                        Delivered::Nothing => assigned.pause = FIRST_PAUSE,
                        Delivered::Stuck => assigned.wait(),
                        Delivered::OutOfDate => {}
                    }
                    continue;
                }
                Outcome::OutOfRange => {
                    assigned.inbox.out_of_range(wanted.round);
                    continue;
                }
                // A client that exceeds its quota gets no partitions.
                Outcome::Missing if !response.throttle.is_zero() => continue,
                Outcome::Missing => Error::new(Kind::Malformed)
                    .at(broker)
                    .of_partition(wanted.topic.name(), wanted.partition)
                    .because("the answer lacks the partition"),
                Outcome::Failed(error) => error,
            };

            if let Leader::Known { described, .. } = &assigned.leader {
                self.cluster.forget(described);
            }
            let is_passing = is_passing(&error);
            assigned.inbox.fail(error, is_passing);
            assigned.leader = Leader::Unknown { not_before: assigned.paused() };
        }
    }
}

fn is_passing(error: &Error) -> bool {
    error.is_transient() || error.code().is_some_and(|code| PASSING.contains(&code))
}

fn earliest(first: Option<Instant>, second: Option<Instant>) -> Option<Instant> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}
