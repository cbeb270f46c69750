//! Requests to a cluster as a whole.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::error::ParseResponseErrorCode as _;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::{Request, StrBytes};

use super::super::error::StackError;
use super::super::kafka_client::KafkaConnection;
use super::KafkaCluster;
use super::node::{INTERNAL, Node};

const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);
/// The time that a broker may take for a request (`timeout_ms`).
pub(super) const REQUEST_MILLIS: i32 = 60_000;

impl KafkaCluster {
    /// Sends a request by the first broker that answers; each passes it on to the controller.
    pub(super) fn administer<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, StackError> {
        let mut failure = None;
        for node in self.active() {
            match connect(node).and_then(|mut broker| broker.send(request, version)) {
                Ok(answer) => return Ok(answer),
                Err(error) => failure = Some(error),
            }
        }
        let problem = "no broker of the cluster answers";
        Err(failure.map_or_else(|| StackError::new(problem), |failure| StackError::caused(problem, failure)))
    }

    /// Sends a request by one broker.
    pub(super) fn administer_by<R: Request>(
        &self,
        broker: i32,
        request: &R,
        version: i16,
    ) -> Result<R::Response, StackError> {
        let sent = connect(self.node(broker)?).and_then(|mut connection| connection.send(request, version));
        sent.map_err(|error| StackError::caused(format!("broker {broker} does not answer"), error))
    }

    /// Returns the brokers that run and are not frozen.
    pub(super) fn active(&self) -> impl Iterator<Item = &Node> {
        self.brokers.values().filter(|node| node.process().is_running() && !node.process().is_frozen())
    }
}

pub(super) fn connect(node: &Node) -> io::Result<KafkaConnection> {
    KafkaConnection::for_administration(node.port(INTERNAL).unwrap_or(0))
}

/// Fails with the name of an error code, unless it is 0.
pub(super) fn check(action: &str, code: i16, message: Option<&StrBytes>) -> Result<(), StackError> {
    let Some(error) = code.err() else {
        return Ok(());
    };
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    Err(StackError::new(format!("Kafka refuses to {action} ({error:?}{message})")))
}

/// Calls `look` until it returns a value. Fails after two minutes, with a description of the expected state.
pub(super) fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, StackError>,
) -> Result<T, StackError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let looked = look();
        if let Ok(Some(found)) = looked {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let problem = format!("{what} did not happen within {} s", PATIENCE.as_secs());
            return Err(match looked {
                Err(error) => StackError::caused(problem, error),
                Ok(_) => StackError::new(problem),
            });
        }
        thread::sleep(POLL);
    }
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}
