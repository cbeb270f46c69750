use outbox_core::Identifier;
use tokio_postgres::Client;

use super::check::Check;
use crate::consumer::Partitions;

/// Checks a consumer group: its partitions, and what it holds.
pub(super) async fn check(client: &Client, schema: &Identifier, group: &str) -> Vec<Check> {
    let name = format!("group {group}");
    let partitions = match Partitions::read(client, schema, group).await {
        Ok(partitions) => partitions,
        Err(failure) => {
            return vec![Check::failed(name, failure.to_string()).remedy("outbox migrate apply --consumer")];
        }
    };
    if partitions.is_empty() {
        return vec![Check::failed(name, "the group has no positions").remedy("start the consumer, or check the name")];
    }
    let mut checks = Vec::new();
    for partition in partitions.stopped() {
        let found = format!("{} is stopped: {}", partition.place(), partition.stopped_because().unwrap_or_default());
        checks.push(Check::failed(name.clone(), found).remedy("fix the cause: the consumer tries again by itself"));
    }
    let unread = partitions.unread().count();
    if unread > 0 {
        let found = format!("{unread} partitions are read by nobody");
        checks.push(Check::failed(name.clone(), found).remedy("start the consumer"));
    }
    let (dead, parked) = (partitions.dead(), partitions.parked());
    if dead > 0 {
        let found = format!("{dead} dead letters");
        checks.push(Check::warning(name.clone(), found).remedy(format!("outbox dead-letters list {group}")));
    }
    if checks.is_empty() {
        checks.push(Check::ok(name, format!("{} partitions are read, {parked} events wait", partitions.len())));
    }
    checks
}
