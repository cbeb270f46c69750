use std::path::PathBuf;
use std::time::Duration;

use super::interrupt::Interrupt;
use super::paths::Paths;
use super::ports::Ports;
use super::postgres_version::PostgresVersion;
use super::service::Service;

/// The place of a stack, and its settings.
#[derive(Debug, Clone)]
pub struct StackOptions {
    pub(crate) paths: Paths,
    pub(crate) ports: Ports,
    pub(crate) postgres: Option<PostgresVersion>,
    pub(crate) brokers: u8,
    pub(crate) timeout: Duration,
    pub(crate) interrupt: Interrupt,
    pub(crate) report: fn(&str),
}

/// The treatment of a stack's data and logs when it is brought down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// They stay for the next time.
    Keep,
    /// They are removed.
    Remove,
}

impl StackOptions {
    /// Creates the stack for development: in `.stack/development`, on fixed ports.
    pub fn development() -> Self {
        Self::at(
            "development",
            Ports { postgres: 15432, kafka: 19092, kafka2: 19094, kafka3: 19095, controller: 19093, connect: 18083 },
        )
    }

    /// Creates its own stack for one test run: in `.stack/test`, on free ports.
    pub fn test() -> Self {
        Self::at("test", Ports { postgres: 0, kafka: 0, kafka2: 0, kafka3: 0, controller: 0, connect: 0 })
    }

    /// Creates its own stack for the tests on this version of PostgreSQL, next to [`test`](Self::test): in
    /// `.stack/test-VERSION`, on free ports.
    pub fn test_on(version: PostgresVersion) -> Self {
        Self { paths: Paths::new(&format!("test-{version}")), ..Self::test().postgres_version(version) }
    }

    /// Creates its own stack for one measurement: in `.stack/bench`, on free ports.
    pub fn bench() -> Self {
        Self::at("bench", Ports { postgres: 0, kafka: 0, kafka2: 0, kafka3: 0, controller: 0, connect: 0 })
    }

    fn at(name: &str, ports: Ports) -> Self {
        Self {
            paths: Paths::new(name),
            ports,
            postgres: None,
            brokers: 1,
            timeout: Duration::from_secs(300),
            interrupt: Interrupt::default(),
            report: |_| {},
        }
    }

    /// Sets where PostgreSQL should listen; 0 takes any free port, here and below.
    pub fn postgres_port(mut self, port: u16) -> Self {
        self.ports.postgres = port;
        self
    }

    /// Runs this version of PostgreSQL, which is downloaded; by default the newest one that is installed.
    pub fn postgres_version(mut self, version: PostgresVersion) -> Self {
        self.postgres = Some(version);
        self
    }

    /// Sets where Kafka should listen.
    pub fn kafka_port(mut self, port: u16) -> Self {
        self.ports.kafka = port;
        self
    }

    /// Sets where Kafka's controller should listen.
    pub fn controller_port(mut self, port: u16) -> Self {
        self.ports.controller = port;
        self
    }

    /// Sets where Kafka Connect's REST API should listen.
    pub fn connect_port(mut self, port: u16) -> Self {
        self.ports.connect = port;
        self
    }

    /// Sets the number of Kafka brokers, from 1 to 3; the default is 1.
    ///
    /// With three, new topics have three replicas, of which two must be in sync. The first broker is also the only
    /// controller: while it is down, no leader moves. Tests of failures use [`Stack::kafka_cluster`] instead.
    ///
    /// [`Stack::kafka_cluster`]: super::Stack::kafka_cluster
    pub fn brokers(mut self, brokers: u8) -> Self {
        self.brokers = brokers.clamp(1, 3);
        self
    }

    /// Returns the ports to try first, without ports for brokers that the stack does not have.
    pub(crate) fn wanted_ports(&self, ports: Ports) -> Ports {
        let only = |number, port| if self.brokers < number { 0 } else { port };
        Ports { kafka2: only(2, ports.kafka2), kafka3: only(3, ports.kafka3), ..ports }
    }

    /// Returns the servers that the stack is to have, each after those that it needs.
    pub(crate) fn services(&self) -> impl Iterator<Item = Service> {
        let brokers = self.brokers;
        Service::ALL.into_iter().filter(move |service| service.broker().is_none_or(|number| number <= brokers))
    }

    /// Sets how long one server may take until it answers.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the interrupt that ends the waiting early.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Sets the function that is called with each line about the progress; none by default.
    pub fn report(mut self, report: fn(&str)) -> Self {
        self.report = report;
        self
    }

    /// Returns the state file, which is what `OUTBOX_STACK` names.
    pub fn state_file(&self) -> PathBuf {
        self.paths.state()
    }

    /// Returns the directory of the servers' logs.
    pub fn logs(&self) -> PathBuf {
        self.paths.logs()
    }

    /// Returns the directory that holds all that belongs to this stack alone.
    pub fn directory(&self) -> PathBuf {
        self.paths.root().to_path_buf()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_the_brokers_that_it_is_asked_for() {
        use Service::{Connect, Kafka, Kafka2, Kafka3, Postgres};
        let services = |brokers| StackOptions::development().brokers(brokers).services().collect::<Vec<_>>();
        assert_eq!(services(1), Service::ALWAYS);
        assert_eq!(services(2), [Postgres, Kafka, Kafka2, Connect]);
        assert_eq!(services(3), [Postgres, Kafka, Kafka2, Kafka3, Connect]);
        let options = StackOptions::development().brokers(2);
        let wanted = options.wanted_ports(options.ports);
        assert_eq!((wanted.kafka2, wanted.kafka3), (19094, 0));
    }
}
