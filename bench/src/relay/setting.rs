//! The parts that all runs of the relay and of Debezium share, and the loads that they get.

use std::path::PathBuf;

use xtask::stack::{KafkaCluster, Service, Stack};

use crate::Outcome;
use crate::load::Rate;
use crate::run_env::{RunEnv, Shape};

pub(super) const SHAPES: [Shape; 2] = [Shape::OneTransaction, Shape::Transactions(1)];
pub(super) const CALM: Rate = Rate { rows_per_second: 200, writers: 1 };
pub(super) const BUSY: Rate = Rate { rows_per_second: 5_000, writers: 8 };

/// The parts that all runs share.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) stack: Stack,
    pub(crate) relay: PathBuf,
    /// The directory of what the runs leave: configurations and logs.
    pub(crate) runs: PathBuf,
    pub(crate) partitions: i32,
    /// Brokers that take the place of the stack's.
    pub(super) cluster: Option<KafkaCluster>,
}

impl Setting {
    pub(crate) fn new(stack: Stack, relay: PathBuf, runs: PathBuf, partitions: i32) -> Self {
        Self { stack, relay, runs, partitions, cluster: None }
    }

    /// Creates what one run needs.
    pub(super) async fn env(&self) -> Outcome<RunEnv> {
        match &self.cluster {
            Some(cluster) => RunEnv::create_on(cluster, self.partitions).await,
            None => RunEnv::create(self.partitions).await,
        }
    }

    /// Returns the processes of the brokers.
    pub(super) fn brokers(&self) -> Outcome<Vec<u32>> {
        let Some(cluster) = &self.cluster else {
            return Ok(self.stack.pid(Service::Kafka)?.into_iter().collect());
        };
        cluster.brokers().filter_map(|broker| cluster.pid(broker).transpose()).map(|pid| Ok(pid?)).collect()
    }

    /// Returns the process of the worker that Debezium runs in.
    pub(super) fn worker(&self) -> Outcome<Option<u32>> {
        Ok(self.stack.pid(Service::Connect)?)
    }
}
