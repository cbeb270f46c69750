use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::StackError;
use super::kafka_client::{KafkaConnection, METADATA, metadata_of};
use super::options::StackOptions;
use super::paths::{self, create};
use super::ports::Ports;
use super::process::{Launch, base_environment};
use super::properties;
use super::provision::{Programs, Task};
use super::readiness::Probed;
use super::service::Service;

/// 16 bytes in the URL-safe base64 that Kafka's cluster ids have.
const CLUSTER_ID: &str = "b3V0Ym94LXN0YWNrLWRldg";
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes the configuration, and formats the storage unless that was done.
pub(crate) fn prepare(
    options: &StackOptions,
    ports: &Ports,
    programs: &Programs,
    service: Service,
) -> Result<Launch, StackError> {
    let home = options.paths.home(service);
    let data = home.join("data");
    create(&data)?;
    let config = home.join("server.properties");
    paths::write(&config, &server_properties(options, ports, service, &data))?;

    if !data.join("meta.properties").exists() {
        (options.report)(&format!("formatting the storage of {service}"));
        let mut format = Command::new(&programs.java);
        format
            .arg("-cp")
            .arg(class_path(programs))
            .args(["kafka.tools.StorageTool", "format", "--ignore-formatted"])
            .args(["-t", CLUSTER_ID, "-c"])
            .arg(&config)
            .current_dir(&home)
            .env_clear()
            .envs(base_environment());
        Task::of(options).run("format Kafka's storage", format)?;
    }

    let mut args = jvm_args(programs, "-Xmx512m");
    args.push("kafka.Kafka".to_owned());
    args.push(config.display().to_string());

    Ok(Launch {
        program: programs.java.clone(),
        args,
        env: base_environment(),
        directory: home,
        account: None,
        log: options.paths.log(service),
    })
}

/// Asks for the cluster's metadata: a broker that takes part in its cluster names itself.
pub(crate) fn probe(port: u16) -> Probed {
    let metadata = KafkaConnection::open(port, PATIENCE)?.send(&metadata_of(&[]), METADATA)?;
    if metadata.brokers.iter().any(|broker| broker.port == i32::from(port)) {
        return Ok(());
    }
    Err(io::Error::other("the broker has not joined its cluster yet").into())
}

/// Returns the arguments of every JVM: its heap, its classes, and a log that reports times.
pub(crate) fn jvm_args(programs: &Programs, heap: &str) -> Vec<String> {
    let logging = "-Dorg.slf4j.simpleLogger";
    vec![
        heap.to_owned(),
        "-Djava.awt.headless=true".to_owned(),
        format!("{logging}.defaultLogLevel=info"),
        format!("{logging}.showDateTime=true"),
        format!("{logging}.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS"),
        format!("{logging}.showThreadName=false"),
        "-cp".to_owned(),
        class_path(programs),
    ]
}

fn class_path(programs: &Programs) -> String {
    programs.kafka.join("*").display().to_string()
}

fn server_properties(options: &StackOptions, ports: &Ports, service: Service, data: &Path) -> String {
    let controller = ports.controller;
    let (roles, port, also_controller) = match service {
        Service::Kafka2 => ("broker", ports.kafka2, String::new()),
        Service::Kafka3 => ("broker", ports.kafka3, String::new()),
        _ => ("broker,controller", ports.kafka, format!(",CONTROLLER://127.0.0.1:{controller}")),
    };

    let replicas = || options.brokers.to_string();
    let in_sync = || if options.brokers > 2 { "2" } else { "1" }.to_owned();
    let three = || "3".to_owned();

    properties::render(&[
        ("process.roles", roles.to_owned()),
        ("node.id", service.broker().unwrap_or(1).to_string()),
        // Not kept in the storage, so that the port may change between two starts.
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port}{also_controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", "true".to_owned()),
        ("num.partitions", three()),
        ("default.replication.factor", replicas()),
        ("min.insync.replicas", in_sync()),
        // A broker that comes back after a crash waits for the end of its former session.
        ("broker.session.timeout.ms", "4000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("offsets.topic.num.partitions", three()),
        ("offsets.topic.replication.factor", replicas()),
        ("transaction.state.log.num.partitions", three()),
        ("transaction.state.log.replication.factor", replicas()),
        ("transaction.state.log.min.isr", in_sync()),
        ("share.coordinator.state.topic.num.partitions", three()),
        ("share.coordinator.state.topic.replication.factor", replicas()),
        ("share.coordinator.state.topic.min.isr", in_sync()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_listens_on_this_machine_only() {
        let ports = Ports { postgres: 1, kafka: 2, kafka2: 5, kafka3: 6, controller: 3, connect: 4 };
        let rendered = server_properties(&StackOptions::test(), &ports, Service::Kafka, Path::new("/data"));
        assert!(rendered.contains("\nlisteners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:3\n"));
        assert!(rendered.contains("\nlog.dirs=/data\n"));
    }

    #[test]
    fn the_third_broker_is_no_controller_and_two_of_three_replicas_are_enough() {
        let ports = Ports { postgres: 1, kafka: 2, kafka2: 5, kafka3: 6, controller: 3, connect: 4 };
        let options = StackOptions::test().brokers(3);
        let rendered = server_properties(&options, &ports, Service::Kafka3, Path::new("/data"));

        for line in [
            "process.roles=broker",
            "node.id=3",
            "controller.quorum.voters=1@127.0.0.1:3",
            "listeners=PLAINTEXT://127.0.0.1:6",
            "default.replication.factor=3",
            "min.insync.replicas=2",
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line} is missing in\n{rendered}");
        }
    }
}
