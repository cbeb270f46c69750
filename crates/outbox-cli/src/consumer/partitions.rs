use outbox_kafka_consumer::{Error, Group, PartitionStatus};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{Part, Report, or_dash};

/// The partitions that a consumer group reads.
#[derive(Debug, Serialize)]
pub(crate) struct Partitions {
    group: String,
    partitions: Vec<Partition>,
}

/// One partition of a group.
#[derive(Debug, Serialize)]
pub(crate) struct Partition {
    topic: String,
    partition: i32,
    /// The next offset to read.
    position: i64,
    /// The records that are not read, if the end of the partition is known.
    lag: Option<u64>,
    /// Whether a consumer holds the lease.
    read: bool,
    paused: bool,
    error: Option<String>,
    parked: u64,
    dead: u64,
}

impl Partitions {
    /// Reads the positions of a group, with its failed events.
    pub(crate) async fn read(group: &Group, name: &str) -> Result<Self, Failure> {
        let status = group.status().await.map_err(|e| failure(&e))?;
        Ok(Self { group: name.to_owned(), partitions: status.into_iter().map(Partition::of).collect() })
    }

    pub(crate) fn into_partitions(self) -> Vec<Partition> {
        self.partitions
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Returns whether every partition is read, and none is paused or has an error.
    pub(crate) fn is_good(&self) -> bool {
        self.partitions.iter().all(|one| one.read && !one.paused && one.error.is_none())
    }

    pub(crate) fn failing(&self) -> impl Iterator<Item = (String, &str)> {
        self.partitions.iter().filter_map(|one| {
            let place = format!("topic {}, partition {}", one.topic, one.partition);
            Some((place, one.error.as_deref()?))
        })
    }

    /// Returns the records that are not read, if the ends of all partitions are known.
    pub(crate) fn lag(&self) -> Option<u64> {
        self.partitions.iter().map(|one| one.lag).sum()
    }

    pub(crate) fn unread(&self) -> usize {
        self.partitions.iter().filter(|one| !one.read).count()
    }

    pub(crate) fn paused(&self) -> usize {
        self.partitions.iter().filter(|one| one.paused).count()
    }

    pub(crate) fn dead(&self) -> u64 {
        self.partitions.iter().map(|one| one.dead).sum()
    }

    pub(crate) fn parked(&self) -> u64 {
        self.partitions.iter().map(|one| one.parked).sum()
    }
}

impl Partition {
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the next offset to read.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    fn of(status: PartitionStatus) -> Self {
        Self {
            lag: status.lag(),
            read: status.owner.is_some(),
            topic: status.topic,
            partition: status.partition,
            position: status.position,
            paused: status.is_paused,
            error: status.last_error,
            parked: status.parked,
            dead: status.dead,
        }
    }

    fn row(&self) -> Vec<String> {
        let lag = self.lag.map(|lag| lag.to_string());
        let word = |is_true| if is_true { "yes" } else { "no" }.to_owned();
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.position.to_string(),
            or_dash(lag.as_deref()),
            word(self.read),
            word(self.paused),
            self.parked.to_string(),
            self.dead.to_string(),
            or_dash(self.error.as_deref()),
        ]
    }
}

impl Report for Partitions {
    fn parts(&self) -> Vec<Part> {
        if self.is_empty() {
            return vec![Part::Line(format!("the group {} has no positions", self.group))];
        }
        let head = &["topic", "partition", "position", "lag", "read", "paused", "parked", "dead", "error"];
        vec![Part::Table { head, rows: self.partitions.iter().map(Partition::row).collect() }]
    }
}

/// Checks that a group has positions, which it gets when its consumer reads for the first time.
pub(super) async fn exists(group: &Group, name: &str) -> Result<(), Failure> {
    match group.status().await.map_err(|e| failure(&e))?.is_empty() {
        true => {
            Err(Failure::not_found(format!("the group {name} has no positions: check its name, and --consumer-schema")))
        }
        false => Ok(()),
    }
}

/// Converts an error of the consumer's library.
pub(super) fn failure(error: &Error) -> Failure {
    let failure = match error.is_refused() {
        true => Failure::refused("the consumer's tables refuse it"),
        false => Failure::server("the consumer's tables cannot be used"),
    };
    let failure = failure.caused_by(error);
    match failure.to_string().contains("42P01") {
        true => failure.with_hint("create the tables by outbox migrate apply --consumer, or check --consumer-schema"),
        false => failure,
    }
}
