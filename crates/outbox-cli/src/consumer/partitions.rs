use outbox_core::Identifier;
use outbox_kafka_consumer::outbox_kafka::{Cluster, OffsetAt};
use outbox_net::ErrorChain;
use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::exit::Failure;
use crate::output::{Part, Report, or_dash};

/// The partitions that a consumer group reads.
///
/// It is read from the consumer's tables in this file alone.
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
    /// The records that are in the partition and not read; nothing if Kafka was not asked.
    lag: Option<i64>,
    /// Whether a consumer holds the lease.
    read: bool,
    stopped_because: Option<String>,
    parked: i64,
    dead: i64,
}

impl Partitions {
    /// Reads the positions of a group, with what it holds.
    pub(crate) async fn read(client: &Client, schema: &Identifier, group: &str) -> Result<Self, Failure> {
        let sql = format!(
            "SELECT p.topic, p.partition, p.next_offset, p.stopped_because,
                 coalesce(l.owner IS NOT NULL AND l.expires_at > clock_timestamp(), false) AS is_read,
                 (SELECT count(*) FROM {schema}.consumer_held h WHERE (h.consumer_group, h.topic, h.partition)
                     = (p.consumer_group, p.topic, p.partition) AND h.state = 'parked') AS parked,
                 (SELECT count(*) FROM {schema}.consumer_held h WHERE (h.consumer_group, h.topic, h.partition)
                     = (p.consumer_group, p.topic, p.partition) AND h.state = 'dead') AS dead
             FROM {schema}.consumer_position p LEFT JOIN {schema}.consumer_lease l USING (consumer_group, topic, partition)
             WHERE p.consumer_group = $1 ORDER BY p.topic, p.partition"
        );
        let unread = |e| Failure::server(format!("the positions of the group {group} cannot be read")).caused_by(&e);
        let rows = client.query(&sql, &[&group]).await.map_err(unread)?;
        let partitions = rows.iter().map(Partition::of).collect::<Result<_, _>>().map_err(unread)?;
        Ok(Self { group: group.to_owned(), partitions })
    }

    /// Adds how many records are not read.
    pub(crate) async fn measure(&mut self, cluster: &Cluster) -> Result<(), Failure> {
        for partition in &mut self.partitions {
            let place = partition.place();
            let unknown = |e| Failure::server(format!("the end of {place} is not known: {}", ErrorChain::new(&e)));
            let Some(topic) = cluster.topic(&partition.topic).await.map_err(unknown)? else { continue };
            let end = cluster.list_offsets(&topic, partition.partition, OffsetAt::LastStable).await.map_err(unknown)?;
            partition.lag = Some((end - partition.position).max(0));
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Returns whether every partition is read, and none is stopped.
    pub(crate) fn is_good(&self) -> bool {
        self.stopped().next().is_none() && self.unread().next().is_none()
    }

    pub(crate) fn stopped(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(|one| one.stopped_because.is_some())
    }

    pub(crate) fn unread(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(|one| !one.read)
    }

    pub(crate) fn dead(&self) -> i64 {
        self.partitions.iter().map(|one| one.dead).sum()
    }

    pub(crate) fn parked(&self) -> i64 {
        self.partitions.iter().map(|one| one.parked).sum()
    }
}

impl Partition {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            topic: row.try_get("topic")?,
            partition: row.try_get("partition")?,
            position: row.try_get("next_offset")?,
            lag: None,
            read: row.try_get("is_read")?,
            stopped_because: row.try_get("stopped_because")?,
            parked: row.try_get("parked")?,
            dead: row.try_get("dead")?,
        })
    }

    pub(crate) fn place(&self) -> String {
        format!("topic {}, partition {}", self.topic, self.partition)
    }

    pub(crate) fn stopped_because(&self) -> Option<&str> {
        self.stopped_because.as_deref()
    }

    fn row(&self) -> Vec<String> {
        let lag = self.lag.map(|lag| lag.to_string());
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.position.to_string(),
            or_dash(lag.as_deref()),
            if self.read { "yes" } else { "no" }.to_owned(),
            self.parked.to_string(),
            self.dead.to_string(),
            or_dash(self.stopped_because()),
        ]
    }
}

impl Report for Partitions {
    fn parts(&self) -> Vec<Part> {
        if self.is_empty() {
            return vec![Part::Line(format!("the group {} has no positions", self.group))];
        }
        let head = &["topic", "partition", "position", "lag", "read", "parked", "dead", "stopped because"];
        vec![Part::Table { head, rows: self.partitions.iter().map(Partition::row).collect() }]
    }
}
