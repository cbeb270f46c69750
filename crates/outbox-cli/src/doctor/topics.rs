use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outbox_core::ConnectorConfig;
use outbox_kafka_consumer::Group;
use outbox_kafka_consumer::outbox_kafka::{Cluster, Entry, OffsetAt, TailStart, Topic};
use outbox_net::ErrorChain;

use super::check::Check;
use crate::consumer::{Partition, Partitions};
use crate::output::seconds;

const CLEANUP: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";

/// Checks whether topics keep events until they are read, and whether groups have read them before they were removed.
pub(super) async fn check(
    cluster: &Cluster,
    config: &ConnectorConfig,
    topics: &[String],
    groups: &[(String, Group)],
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut positions: BTreeMap<String, Vec<(String, Partition)>> = BTreeMap::new();
    for (name, group) in groups {
        // Groups whose positions cannot be read are reported by their own check.
        let Ok(partitions) = Partitions::read(group, name).await else { continue };
        for partition in partitions.into_partitions() {
            positions.entry(partition.topic().to_owned()).or_default().push((name.clone(), partition));
        }
    }
    for name in topics {
        positions.entry(name.clone()).or_default();
    }

    for (name, positions) in positions {
        match cluster.refreshed(&name).await {
            // Missing topics are reported with the privileges that the relay has on them.
            Ok(None) => {}
            Err(e) => checks.push(Check::failed(format!("retention of {name}"), ErrorChain::new(&e).to_string())),
            Ok(Some(topic)) => {
                let (retention, check) = retention(cluster, &name).await;
                checks.push(check);
                checks.extend(partitions(config, &topic));
                for (group, partition) in positions {
                    checks.extend(unread(cluster, &topic, &group, &partition, retention).await);
                }
            }
        }
    }
    checks
}

/// Checks that a topic has the partitions with which the configuration creates topics.
fn partitions(config: &ConnectorConfig, topic: &Topic) -> Option<Check> {
    let wanted: i32 = config.get("topic.creation.default.partitions")?.trim().parse().ok()?;
    let (name, found) = (format!("partitions of {}", topic.name()), topic.partitions());
    let text = format!("the topic has {found}, and topic.creation.default.partitions is {wanted}");
    let remedy =
        "the topic was created by something else: while no event is on its way, add partitions, or create it again";
    match found {
        _ if wanted < 1 => None,
        found if found < wanted => Some(Check::warning(name, text).remedy(remedy)),
        found => Some(Check::ok(name, found.to_string())),
    }
}

/// Checks that a topic is not compacted, and returns how long it keeps records.
async fn retention(cluster: &Cluster, topic: &str) -> (Option<Duration>, Check) {
    let name = format!("retention of {topic}");
    let configs = match cluster.topic_configs(topic, &[CLEANUP, RETENTION]).await {
        Ok(configs) => configs,
        Err(e) => {
            let check = Check::skipped(name, format!("its configuration cannot be read: {}", ErrorChain::new(&e)));
            return (None, check.remedy("allow DescribeConfigs on the topic for this check"));
        }
    };
    let policy = configs.get(CLEANUP).map(String::as_str).unwrap_or_default();
    let millis = configs.get(RETENTION).and_then(|value| value.parse::<i64>().ok());
    let retention = millis.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);

    if policy.split(',').any(|one| one.trim() == "compact") {
        let found = format!("cleanup.policy is {policy}: compaction removes all but the last event of an aggregate");
        return (retention, Check::failed(name, found).remedy("set cleanup.policy=delete on the topic"));
    }

    let found = match retention.filter(|_| policy.contains("delete")) {
        Some(retention) => format!("records are kept for {}", seconds(retention.as_secs_f64())),
        None => "records are kept without a limit of time, or until retention.bytes is reached".to_owned(),
    };
    (retention, Check::ok(name, found))
}

/// Checks that the partition still holds the first event that a group has not read, and that retention does not remove
/// it soon.
async fn unread(
    cluster: &Cluster,
    topic: &Arc<Topic>,
    group: &str,
    partition: &Partition,
    retention: Option<Duration>,
) -> Option<Check> {
    let name = format!("group {group}");
    let number = partition.partition();
    let place = format!("topic {}, partition {number}", topic.name());
    let earliest = cluster.list_offsets(topic, number, OffsetAt::Earliest).await.ok()?;
    let removed = earliest.saturating_sub(partition.position());
    if removed > 0 {
        let found = format!("{place}: {removed} records were removed before the group read them");
        let remedy = "raise retention.ms; outbox replay run publishes rows of a kept table again";
        return Some(Check::failed(name, found).remedy(remedy));
    }

    let (retention, age) = (retention?, oldest(cluster, topic, partition).await?);
    (age > retention / 2).then(|| {
        let (age, retention) = (seconds(age.as_secs_f64()), seconds(retention.as_secs_f64()));
        let found = format!("{place}: the next event is {age} old, and the topic keeps records for {retention}");
        Check::warning(name, found).remedy("let the group catch up, or raise retention.ms")
    })
}

/// Returns the age of the record at a group's position.
async fn oldest(cluster: &Cluster, topic: &Arc<Topic>, partition: &Partition) -> Option<Duration> {
    let mut timestamp = None;
    let first = |entry: Entry<'_>| match entry {
        Entry::Record(_, record) => {
            timestamp = Some(record.timestamp);
            std::ops::ControlFlow::Break(())
        }
        Entry::Batch(_) => std::ops::ControlFlow::Continue(()),
    };
    let start = TailStart::Offset(partition.position());
    cluster.read_tail(topic, partition.partition(), start, u64::MAX, first).await.ok()?;
    let written = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(timestamp?).ok()?);
    SystemTime::now().duration_since(written).ok()
}
