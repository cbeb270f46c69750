use std::path::PathBuf;
use std::time::Duration;

use super::interrupt::Interrupt;
use super::paths::Paths;
use super::ports::Ports;

/// Where a stack lives and what it should look like.
#[derive(Debug, Clone)]
pub struct StackOptions {
    pub(crate) paths: Paths,
    pub(crate) ports: Ports,
    pub(crate) timeout: Duration,
    pub(crate) interrupt: Interrupt,
    pub(crate) report: fn(&str),
}

/// What becomes of a stack's data and logs when it is brought down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// They stay for the next time.
    Keep,
    /// They are removed.
    Remove,
}

impl StackOptions {
    /// The stack for development: in `target/stack`, on fixed ports.
    pub fn development() -> Self {
        Self::at("stack", Ports { postgres: 15432, kafka: 19092, controller: 19093, connect: 18083 })
    }

    /// A stack of its own for one test run: in `target/stack-test`, on whatever ports are free.
    pub fn test() -> Self {
        Self::at("stack-test", Ports { postgres: 0, kafka: 0, controller: 0, connect: 0 })
    }

    /// A stack of its own for one measurement: in `target/stack-bench`, on whatever ports are free.
    pub fn bench() -> Self {
        Self::at("stack-bench", Ports { postgres: 0, kafka: 0, controller: 0, connect: 0 })
    }

    fn at(name: &str, ports: Ports) -> Self {
        Self {
            paths: Paths::new(name),
            ports,
            timeout: Duration::from_secs(120),
            interrupt: Interrupt::default(),
            report: |_| {},
        }
    }

    /// Where PostgreSQL should listen; 0 takes any free port, here and below.
    pub fn postgres_port(mut self, port: u16) -> Self {
        self.ports.postgres = port;
        self
    }

    /// Where Kafka should listen.
    pub fn kafka_port(mut self, port: u16) -> Self {
        self.ports.kafka = port;
        self
    }

    /// Where Kafka's controller should listen.
    pub fn controller_port(mut self, port: u16) -> Self {
        self.ports.controller = port;
        self
    }

    /// Where Kafka Connect's REST API should listen.
    pub fn connect_port(mut self, port: u16) -> Self {
        self.ports.connect = port;
        self
    }

    /// How long one server may take until it answers.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What ends the waiting early.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// What to do with each line about the progress; nothing by default.
    pub fn report(mut self, report: fn(&str)) -> Self {
        self.report = report;
        self
    }

    /// The state file, which is what `OUTBOX_STACK` names.
    pub fn state_file(&self) -> PathBuf {
        self.paths.state()
    }

    /// The directory of the servers' logs.
    pub fn logs(&self) -> PathBuf {
        self.paths.logs()
    }

    /// The directory that holds all that belongs to this stack alone.
    pub fn directory(&self) -> PathBuf {
        self.paths.root().to_path_buf()
    }
}
