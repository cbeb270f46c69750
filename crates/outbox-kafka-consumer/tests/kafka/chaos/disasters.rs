use std::time::Duration;

use outbox_testkit::Postgres;
use xtask::stack::KafkaCluster;

use super::Random;
use crate::process::{AtOrder13, Kind, Process};

/// Everything that may go down.
pub(super) struct Disasters {
    pub(super) consumers: Consumers,
    pub(super) postgres: Postgres,
    /// `None` while it is restarted.
    pub(super) kafka: Option<KafkaCluster>,
}

/// The processes, each of which is started again when it was killed.
pub(super) struct Consumers {
    processes: Vec<Process>,
    /// Each driver, reader and handler with each other, in a random order: they all work on one group.
    kinds: Vec<Kind>,
    /// The number of those that were started.
    started: usize,
    brokers: String,
    database: String,
    prefix: String,
}

/// The number of consumers that run at a time.
const CONSUMERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Disaster {
    Postgres,
    Broker(i32),
}

impl Disasters {
    /// Stops PostgreSQL twice and a broker as often as there are brokers, at random, and consumers all the while, until
    /// there is nothing left to interrupt.
    pub(super) async fn happen(&mut self, random: &mut Random, is_over: impl Fn() -> bool) {
        let mut to_come = vec![Disaster::Postgres; 2];
        for broker in self.kafka.as_ref().unwrap().brokers() {
            to_come.insert(random.below(to_come.len() as u64 + 1) as usize, Disaster::Broker(broker));
        }
        while !to_come.is_empty() || !is_over() {
            for _ in 0..3 {
                self.consumers.kill_one(random).await;
            }
            match to_come.pop() {
                Some(Disaster::Postgres) => {
                    self.postgres.crash().await.unwrap();
                    println!("PostgreSQL crashed");
                }
                Some(Disaster::Broker(broker)) => self.restart(broker, random).await,
                None => {}
            }
        }
    }

    async fn restart(&mut self, broker: i32, random: &mut Random) {
        let kafka = self.kafka.take().unwrap();
        let is_orderly = random.below(2) == 0;
        let restarted = tokio::task::spawn_blocking(move || {
            if is_orderly {
                kafka.stop(broker).unwrap()
            } else {
                kafka.kill(broker).unwrap()
            }
            kafka.start(broker).unwrap();
            kafka.await_in_sync().unwrap();
            kafka
        });

        while !restarted.is_finished() {
            self.consumers.kill_one(random).await;
        }

        self.kafka = Some(restarted.await.unwrap());
        println!("broker {broker} was {} and started again", if is_orderly { "stopped" } else { "killed" });
    }
}

impl Consumers {
    pub(super) fn start(random: &mut Random, brokers: String, database: String, prefix: String) -> Self {
        let mut kinds = Kind::all();
        for last in (1..kinds.len()).rev() {
            kinds.swap(last, random.below(last as u64 + 1) as usize);
        }
        let mut consumers = Self { processes: Vec::new(), kinds, started: 0, brokers, database, prefix };
        for _ in 0..CONSUMERS {
            let process = consumers.spawn();
            consumers.processes.push(process);
        }
        consumers
    }

    pub(super) fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    /// Starts a consumer of the next kind.
    fn spawn(&mut self) -> Process {
        let kind = self.kinds[self.started % self.kinds.len()];
        self.started += 1;
        Process::spawn_of(kind, &self.brokers, &self.database, &self.prefix, AtOrder13::Nothing)
    }

    async fn kill_one(&mut self, random: &mut Random) {
        tokio::time::sleep(Duration::from_millis(300 + random.below(1500))).await;
        let victim = random.below(self.processes.len() as u64) as usize;
        self.processes[victim].kill();
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        let process = self.spawn();
        self.processes[victim] = process;
    }
}
