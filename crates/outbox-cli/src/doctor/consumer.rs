use outbox_kafka_consumer::Group;

use super::check::Check;
use crate::consumer::Partitions;

/// The lag from which on it is a warning: that of the alert OutboxConsumerLag.
const LATE: u64 = 10_000;

/// Checks a consumer group: its partitions, and its failed events.
pub(super) async fn check(group: &Group, group_name: &str) -> Vec<Check> {
    let name = format!("group {group_name}");
    let partitions = match Partitions::read(group, group_name).await {
        Ok(partitions) => partitions,
        Err(failure) => {
            return vec![Check::failed(name, failure.to_string()).remedy("outbox migrate apply --consumer")];
        }
    };
    if partitions.is_empty() {
        return vec![Check::failed(name, "the group has no positions").remedy("start the consumer, or check the name")];
    }

    let mut checks = Vec::new();
    for (place, error) in partitions.failing() {
        let found = format!("{place}: {error}");
        checks.push(Check::failed(name.clone(), found).remedy("fix the cause: the consumer tries again by itself"));
    }

    let (unread, paused) = (partitions.unread(), partitions.paused());
    if unread > 0 {
        let found = format!("{unread} partitions are read by nobody");
        checks.push(Check::failed(name.clone(), found).remedy("start the consumer"));
    }
    if paused > 0 {
        let found = format!("{paused} partitions are paused");
        checks.push(Check::warning(name.clone(), found).remedy(format!("outbox consumer resume {group_name}")));
    }

    if let Some(lag) = partitions.lag().filter(|lag| *lag > LATE) {
        let found = format!("{lag} records are not read");
        let remedy = format!("outbox consumer status {group_name} shows where; see the runbook \"consumer lag\"");
        checks.push(Check::warning(name.clone(), found).remedy(remedy));
    }

    let (dead, parked) = (partitions.dead(), partitions.parked());
    if dead > 0 {
        let found = format!("{dead} dead letters");
        checks.push(Check::warning(name.clone(), found).remedy(format!("outbox dead-letters list {group_name}")));
    }
    if checks.is_empty() {
        let lag = partitions.lag().map(|lag| format!(", lag {lag}")).unwrap_or_default();
        let found = format!("{} partitions are read{lag}, {parked} events wait for another attempt", partitions.len());
        checks.push(Check::ok(name, found));
    }
    checks
}
