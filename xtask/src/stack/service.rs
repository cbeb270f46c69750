use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the stack's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Service {
    /// PostgreSQL with logical decoding switched on.
    Postgres,
    /// A single Kafka node, broker and controller in one.
    Kafka,
    /// A distributed Kafka Connect worker that has Debezium.
    Connect,
}

impl Service {
    /// All of them, each after those that it needs.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Kafka, Self::Connect];

    /// The name in file names and in the state file.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Connect => "connect",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "PostgreSQL",
            Self::Kafka => "Kafka",
            Self::Connect => "Kafka Connect",
        })
    }
}
