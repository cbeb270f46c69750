use std::time::Duration;

use outbox_testkit::Postgres;
use xtask::stack::KafkaCluster;

use super::Random;
use crate::process::{At13, Process};

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
    brokers: String,
    database: String,
    prefix: String,
}

#[derive(Debug, Clone, Copy)]
enum Disaster {
    Postgres,
    Kafka,
}

impl Disasters {
    /// Stops PostgreSQL twice and Kafka once, at random, and consumers all the while, until there is nothing left to
    /// interrupt.
    pub(super) async fn happen(&mut self, random: &mut Random, is_over: impl Fn() -> bool) {
        let mut to_come = vec![Disaster::Postgres; 2];
        to_come.insert(random.below(3) as usize, Disaster::Kafka);
        while !to_come.is_empty() || !is_over() {
            for _ in 0..3 {
                self.consumers.kill_one(random).await;
            }
            match to_come.pop() {
                Some(Disaster::Postgres) => {
                    self.postgres.crash().await.unwrap();
                    println!("PostgreSQL crashed");
                }
                Some(Disaster::Kafka) => self.restart_kafka(random).await,
                None => {}
            }
        }
    }

    async fn restart_kafka(&mut self, random: &mut Random) {
        let kafka = self.kafka.take().unwrap();
        let is_orderly = random.below(2) == 0;
        let restarted = tokio::task::spawn_blocking(move || {
            if is_orderly {
                kafka.stop(1).unwrap()
            } else {
                kafka.kill(1).unwrap()
            }
            kafka.start(1).unwrap();
            kafka
        });
        while !restarted.is_finished() {
            self.consumers.kill_one(random).await;
        }
        self.kafka = Some(restarted.await.unwrap());
        println!("Kafka was {} and started again", if is_orderly { "stopped" } else { "killed" });
    }
}

impl Consumers {
    pub(super) fn start(count: usize, brokers: String, database: String, prefix: String) -> Self {
        let mut consumers = Self { processes: Vec::new(), brokers, database, prefix };
        for _ in 0..count {
            consumers.processes.push(consumers.spawn());
        }
        consumers
    }

    pub(super) fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    fn spawn(&self) -> Process {
        Process::spawn(&self.brokers, &self.database, &self.prefix, At13::Nothing)
    }

    async fn kill_one(&mut self, random: &mut Random) {
        tokio::time::sleep(Duration::from_millis(300 + random.below(1500))).await;
        let victim = random.below(self.processes.len() as u64) as usize;
        self.processes[victim].kill();
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        self.processes[victim] = self.spawn();
    }
}
