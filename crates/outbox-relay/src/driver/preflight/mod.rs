//! Checks of the servers before a relay runs, without taking the slot or writing a record.

mod heartbeats;
mod kafka;
mod postgres;
mod server_check;

use super::Relay;

pub use self::server_check::{CheckStatus, ServerCheck};

impl Relay {
    /// Checks PostgreSQL and Kafka: connections, privileges, publication, slot, topics and ACLs, sizes, clocks. It
    /// neither takes the slot nor writes a record, and a relay that runs meanwhile is not disturbed.
    ///
    /// It checks the given topics, the topic for dead letters, and those of the rows that are in the outbox table.
    pub async fn check(&self, topics: &[String]) -> Vec<ServerCheck> {
        let (mut checks, sample) = postgres::check(self).await;
        checks.extend(kafka::check(self, topics, &sample).await);
        checks
    }
}
