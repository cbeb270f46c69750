//! Kafka clusters that belong to one test.

mod access;
mod administration;
mod builder;
mod configs;
mod node;
mod security;
mod topics;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

pub use self::access::{Acl, AclOperation};
pub use self::builder::KafkaClusterBuilder;
pub use self::configs::QuotaEntity;
use self::node::Node;
pub use self::security::{ListenerSecurity, unsecured_token};
pub use self::topics::{NewTopic, PartitionState};
use super::error::StackError;
use super::paths::OwnDirectory;

/// A Kafka cluster that belongs to one test.
///
/// Its processes end with this value, and also if the test's process is killed; its files are removed then or by the
/// next cluster. Meanwhile each broker can be killed, stopped, frozen and started again. All methods take `&self`, so
/// that a second thread can do it. Brokers are numbered from 1.
///
/// A cluster of one broker is a single process. With more brokers, the controller is one more process, which the
/// methods for brokers never touch. If the brokers were the quorum, the death of one broker would often be the death of
/// the active controller as well, and two deaths shortly after each other would stop the cluster. Then the result of a
/// test would be unclear. So any number of brokers may be down at any time, and leaders move within seconds.
#[derive(Debug)]
pub struct KafkaCluster {
    // Dropped in this order: the processes end before their files are removed.
    brokers: BTreeMap<i32, Node>,
    _controller: Option<Node>,
    _home: OwnDirectory,
}

impl KafkaCluster {
    /// Returns the addresses of all brokers' listeners `PLAINTEXT`, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.bootstrap_of(node::INTERNAL).unwrap_or_default()
    }

    /// Returns the addresses of all brokers' listeners of this name, for `bootstrap.servers`; `None` if there are none.
    pub fn bootstrap_of(&self, listener: &str) -> Option<String> {
        let addresses: Option<Vec<_>> = self.brokers.values().map(|node| node.address(listener)).collect();
        addresses.map(|addresses| addresses.join(","))
    }

    /// Returns the address of one broker's listener, such as `localhost:21234`; `None` if there is no such listener.
    pub fn address(&self, broker: i32, listener: &str) -> Option<String> {
        self.brokers.get(&broker)?.address(listener)
    }

    /// Returns the numbers of the brokers, whether they run or not.
    pub fn brokers(&self) -> RangeInclusive<i32> {
        1..=self.brokers.keys().next_back().copied().unwrap_or(0)
    }

    /// Returns whether the process of a broker runs, frozen or not.
    pub fn is_running(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|node| node.process().is_running())
    }

    /// Returns the file that a broker logs to.
    pub fn log(&self, broker: i32) -> Result<&Path, StackError> {
        Ok(self.node(broker)?.process().log())
    }

    /// Returns the process id of a broker, if it runs.
    pub fn pid(&self, broker: i32) -> Result<Option<u32>, StackError> {
        Ok(self.node(broker)?.process().pid())
    }

    /// Ends a broker at once, with SIGKILL.
    pub fn kill(&self, broker: i32) -> Result<(), StackError> {
        self.node(broker)?.process().kill();
        Ok(())
    }

    /// Ends a broker in the orderly way: it hands its partitions over first. Waits for its end, one minute at most.
    pub fn stop(&self, broker: i32) -> Result<(), StackError> {
        self.node(broker)?.process().stop()
    }

    /// Starts a broker on its former port with its stored data, unless it runs.
    ///
    /// Waits until the cluster counts it among its brokers. Its replicas may still be behind.
    pub fn start(&self, broker: i32) -> Result<(), StackError> {
        let node = self.node(broker)?;
        node.process().spawn()?;
        node.await_ready()
    }

    /// Stops a broker's execution with SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self, broker: i32) -> Result<(), StackError> {
        self.node(broker)?.process().freeze()
    }

    /// Continues a frozen broker.
    pub fn thaw(&self, broker: i32) -> Result<(), StackError> {
        self.node(broker)?.process().thaw()
    }

    fn node(&self, broker: i32) -> Result<&Node, StackError> {
        self.brokers.get(&broker).ok_or_else(|| {
            StackError::new(format!("the cluster has no broker {broker}; its brokers are {:?}", self.brokers()))
        })
    }
}
