use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the stack's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Service {
    /// PostgreSQL with logical decoding switched on.
    Postgres,
    /// The first Kafka broker, which is also the controller of all.
    Kafka,
    /// The second Kafka broker, in a stack of two or three.
    Kafka2,
    /// The third Kafka broker, in a stack of three.
    Kafka3,
    /// A distributed Kafka Connect worker that has Debezium.
    Connect,
}

impl Service {
    /// All of them, each after those that it needs.
    pub const ALL: [Self; 5] = [Self::Postgres, Self::Kafka, Self::Kafka2, Self::Kafka3, Self::Connect];

    /// Those that every stack has.
    pub const ALWAYS: [Self; 3] = [Self::Postgres, Self::Kafka, Self::Connect];

    /// Returns the number of a Kafka broker; `None` for other servers.
    pub(crate) fn broker(self) -> Option<u8> {
        match self {
            Self::Kafka => Some(1),
            Self::Kafka2 => Some(2),
            Self::Kafka3 => Some(3),
            Self::Postgres | Self::Connect => None,
        }
    }

    /// Returns the name in file names and in the state file.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Kafka2 => "kafka2",
            Self::Kafka3 => "kafka3",
            Self::Connect => "connect",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "PostgreSQL",
            Self::Kafka => "Kafka",
            Self::Kafka2 => "Kafka 2",
            Self::Kafka3 => "Kafka 3",
            Self::Connect => "Kafka Connect",
        })
    }
}
