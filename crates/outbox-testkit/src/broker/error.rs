use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use kafka_protocol::ResponseError;

/// A failure to start the broker, to create a topic, or to append a batch.
pub struct BrokerError(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the broker cannot listen on {0}")]
    Listen(SocketAddr),
    #[error("the topic {name:?} was not made: {error}")]
    Topic { name: String, error: ResponseError },
    #[error("the batch was not appended to partition {partition} of {topic:?}: {error}")]
    Append { topic: String, partition: i32, error: ResponseError },
}

impl BrokerError {
    pub(super) fn listen(address: SocketAddr, source: io::Error) -> Self {
        Self(Box::new(Inner { kind: Kind::Listen(address), source: Some(Box::new(source)) }))
    }

    pub(super) fn topic(name: &str, error: ResponseError) -> Self {
        Self(Box::new(Inner { kind: Kind::Topic { name: name.to_owned(), error }, source: None }))
    }

    pub(super) fn append(topic: &str, partition: i32, error: ResponseError) -> Self {
        Self(Box::new(Inner { kind: Kind::Append { topic: topic.to_owned(), partition, error }, source: None }))
    }

    /// Returns the error code that a client would get.
    #[must_use]
    pub fn code(&self) -> Option<ResponseError> {
        match self.0.kind {
            Kind::Listen(_) => None,
            Kind::Topic { error, .. } | Kind::Append { error, .. } => Some(error),
        }
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl fmt::Debug for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerError").field("kind", &self.0.kind).field("source", &self.0.source).finish()
    }
}

impl StdError for BrokerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
