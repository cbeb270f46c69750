use std::fs;
use std::path::Path;
use std::process::Command;

use super::connect_rest::ConnectRest;
use super::error::StackError;
use super::guarded::GuardedProcess;
use super::kafka_cluster::KafkaCluster;
use super::paths::{self, OwnDirectory};
use super::ports::ReservedPort;
use super::service::Service;
use super::{Stack, connect, properties};

/// A distributed Kafka Connect worker with Debezium that belongs to one test.
///
/// It supports source connectors that write each record exactly once (`exactly.once.source.support=enabled`). Its
/// process ends with this value, and also if the test's process is killed. Its connectors find the stack's PostgreSQL
/// in the variables of the environment that the stack's own worker has.
#[derive(Debug)]
pub struct OwnConnect {
    // Dropped in this order: the process ends before its port and its files are released.
    process: GuardedProcess,
    port: ReservedPort,
    _home: OwnDirectory,
}

impl Stack {
    /// Starts a Kafka Connect worker at a cluster, and waits until it answers.
    pub fn own_connect(&self, cluster: &KafkaCluster) -> Result<OwnConnect, StackError> {
        let port = ReservedPort::any()?;
        let changes = changes(cluster, port.number());
        self.start_worker(port, None, &changes, None)
    }

    /// Starts a Kafka Connect worker with these properties, but at the stack's Kafka, with the stack's plugins, and in
    /// a separate group. Its JVM has an agent, which is written as in `-javaagent`. Waits until the worker answers.
    pub fn own_connect_of(&self, worker: &str, group: &str, agent: &str) -> Result<OwnConnect, StackError> {
        let port = ReservedPort::any()?;
        let changes = properties::render(&[
            ("listeners", format!("http://127.0.0.1:{}", port.number())),
            ("group.id", group.to_owned()),
            ("config.storage.topic", format!("{group}-configs")),
            ("offset.storage.topic", format!("{group}-offsets")),
            ("status.storage.topic", format!("{group}-status")),
        ]);
        self.start_worker(port, Some(worker), &changes, Some(format!("-javaagent:{agent}")))
    }

    /// Starts a worker with the properties of the stack's own one, or with others.
    fn start_worker(
        &self,
        port: ReservedPort,
        other: Option<&str>,
        changes: &str,
        jvm_option: Option<String>,
    ) -> Result<OwnConnect, StackError> {
        let mut launch = self.state.service(Service::Connect)?.launch.clone();
        let home = OwnDirectory::create("connect")?;
        let config = home.path().join("worker.properties");
        // Its last argument is the configuration of the stack's worker. Of lines with the same name, the last counts.
        let stacks = launch.args.pop().unwrap_or_default();
        let stacks = fs::read_to_string(&stacks).map_err(StackError::file("read", Path::new(&stacks)))?;
        let properties = match other {
            Some(other) => format!("{other}\n{}", of_this_machine(&stacks)),
            None => stacks,
        };
        paths::write(&config, &(properties + changes))?;
        launch.args.push(config.display().to_string());
        launch.args.splice(0..0, jvm_option);
        launch.directory = home.path().to_path_buf();
        launch.log = home.path().join("connect.log");

        let connect = OwnConnect { process: GuardedProcess::new("Kafka Connect", launch), port, _home: home };
        connect.start()?;
        Ok(connect)
    }

    /// Returns a command that runs one of Kafka's own tools, such as `org.apache.kafka.tools.consumer.ConsoleConsumer`.
    ///
    /// It takes about two seconds to start.
    pub fn kafka_tool(&self, class: &str) -> Result<Command, StackError> {
        let launch = &self.state.service(Service::Kafka)?.launch;
        let mut command = Command::new(&launch.program);
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
        command.args(["-cp", launch.class_path(), class]).env_clear().envs(&launch.env);
        Ok(command)
    }
}

impl OwnConnect {
    /// Returns the base of the worker's REST API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Returns a client for the worker's REST API.
    pub fn rest(&self) -> ConnectRest {
        ConnectRest::new(self.url())
    }

    /// Returns the file that the worker logs to.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Returns the worker's process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Starts the worker again unless it runs, and waits until it answers.
    pub fn start(&self) -> Result<(), StackError> {
        self.process.spawn()?;
        self.process.await_ready(|| connect::probe(self.port.number()))
    }

    /// Ends the worker in the orderly way.
    pub fn stop(&self) -> Result<(), StackError> {
        self.process.stop()
    }

    /// Ends the worker at once, with SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops the worker's execution with SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self) -> Result<(), StackError> {
        self.process.freeze()
    }

    /// Continues a frozen worker.
    pub fn thaw(&self) -> Result<(), StackError> {
        self.process.thaw()
    }
}

/// Returns the lines that say where Kafka and the plugins are.
fn of_this_machine(properties: &str) -> String {
    let is_of_machine = |line: &&str| line.starts_with("bootstrap.servers=") || line.starts_with("plugin.path=");
    properties.lines().filter(is_of_machine).map(|line| format!("{line}\n")).collect()
}

fn changes(cluster: &KafkaCluster, port: u16) -> String {
    // As many replicas as the cluster gives.
    let any = || "-1".to_owned();
    properties::render(&[
        ("bootstrap.servers", cluster.bootstrap()),
        ("listeners", format!("http://127.0.0.1:{port}")),
        ("config.storage.replication.factor", any()),
        ("offset.storage.replication.factor", any()),
        ("status.storage.replication.factor", any()),
        ("exactly.once.source.support", "enabled".to_owned()),
    ])
}
