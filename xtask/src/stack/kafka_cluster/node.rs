use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::error::StackError;
use super::super::guarded::GuardedProcess;
use super::super::ports::ReservedPort;
use super::super::process::Launch;
use super::super::{kafka, paths, properties};
use super::security::{ListenerSecurity, SCRAM, User};

/// The listener that brokers use among themselves.
pub(super) const INTERNAL: &str = "PLAINTEXT";
pub(super) const CONTROLLER: &str = "CONTROLLER";
const CLUSTER_ID: &str = "b3V0Ym94LXRlc3Qtb3duMQ";

/// One process of a cluster.
#[derive(Debug)]
pub(super) struct Node {
    process: GuardedProcess,
    listeners: BTreeMap<String, ReservedPort>,
}

/// The role of a process of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Broker,
    Controller,
    Both,
}

/// The settings that all nodes of a cluster share.
pub(super) struct Shared<'a> {
    pub(super) launch: &'a Launch,
    pub(super) home: &'a Path,
    /// The id and the port of the node that is the controller.
    pub(super) controller: (i32, u16),
    /// Name and kind of each listener for clients.
    pub(super) listeners: &'a [(String, ListenerSecurity)],
    pub(super) properties: &'a [(String, String)],
    pub(super) scram: &'a [User],
    pub(super) jvm_options: &'a [String],
}

impl Node {
    /// Writes the files of a node, whose process does not run yet.
    pub(super) fn prepare(
        shared: &Shared<'_>,
        id: i32,
        role: Role,
        listeners: BTreeMap<String, ReservedPort>,
    ) -> Result<Self, StackError> {
        let home = shared.home.join(format!("node-{id}"));
        let data = home.join("data");
        paths::create(&data)?;
        let config = home.join("server.properties");
        paths::write(&config, &server_properties(shared, id, role, &listeners, &data))?;
        match role {
            // The files that StorageTool would write, without a JVM for each broker. Metadata of the cluster, such as
            // users, is in the controller's storage.
            Role::Broker => paths::write(
                &data.join("meta.properties"),
                &properties::render(&[
                    ("version", "1".to_owned()),
                    ("cluster.id", CLUSTER_ID.to_owned()),
                    ("node.id", id.to_string()),
                    ("directory.id", directory_id(id)),
                ]),
            )?,
            Role::Controller | Role::Both => format(shared, &home, &config)?,
        }

        let mut launch = shared.launch.clone();
        launch.args.retain(|argument| !argument.starts_with("-Xmx"));
        launch.args.splice(0..0, shared.jvm_options.iter().cloned());
        // The last argument is the configuration of the stack's own node.
        launch.args.pop();
        launch.args.push(config.display().to_string());
        launch.directory.clone_from(&home);
        launch.log = home.join("kafka.log");
        let name =
            if role == Role::Controller { "Kafka's controller".to_owned() } else { format!("Kafka broker {id}") };
        Ok(Self { process: GuardedProcess::new(name, launch), listeners })
    }

    pub(super) fn process(&self) -> &GuardedProcess {
        &self.process
    }

    pub(super) fn port(&self, listener: &str) -> Option<u16> {
        self.listeners.get(listener).map(ReservedPort::number)
    }

    /// Returns a listener's address, by a name that certificates can have.
    pub(super) fn address(&self, listener: &str) -> Option<String> {
        self.port(listener).map(|port| format!("localhost:{port}"))
    }

    /// Waits until this broker answers, and names itself among the brokers of its cluster.
    pub(super) fn await_ready(&self) -> Result<(), StackError> {
        let port = self.port(INTERNAL).unwrap_or(0);
        self.process.await_ready(|| kafka::probe(port))
    }
}

fn format(shared: &Shared<'_>, home: &Path, config: &PathBuf) -> Result<(), StackError> {
    let mut format = Command::new(&shared.launch.program);
    format.args(["-XX:TieredStopAtLevel=1", "-cp", shared.launch.class_path(), "kafka.tools.StorageTool", "format"]);
    format.args(["-t", CLUSTER_ID, "-c"]).arg(config);
    for User { name, password } in shared.scram {
        for mechanism in SCRAM {
            format.args(["--add-scram", &format!("{mechanism}=[name={name},password={password}]")]);
        }
    }

    let output = format.env_clear().envs(&shared.launch.env).current_dir(home).output();
    let output = output.map_err(|error| StackError::caused("cannot format Kafka's storage", error))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(StackError::new(format!("cannot format Kafka's storage ({}): {errors}", output.status)))
}

/// Returns 16 bytes in URL-safe base64, which must differ between the nodes of a cluster.
fn directory_id(id: i32) -> String {
    format!("b3V0Ym94LWRpcmVj{id:0>5}Q")
}

fn server_properties(
    shared: &Shared<'_>,
    id: i32,
    role: Role,
    ports: &BTreeMap<String, ReservedPort>,
    data: &Path,
) -> String {
    let listeners = |host: &str, with: &dyn Fn(&str) -> bool| {
        let listeners = ports.iter().filter(|(name, _)| with(name));
        let listeners = listeners.map(|(name, port)| format!("{name}://{host}:{}", port.number()));
        listeners.collect::<Vec<_>>().join(",")
    };
    let protocols = shared.listeners.iter().map(|(name, kind)| format!("{name}:{}", kind.protocol()));
    let protocols: Vec<_> = protocols.chain([format!("{CONTROLLER}:PLAINTEXT")]).collect();
    let (controller, controller_port) = shared.controller;
    let roles = match role {
        Role::Broker => "broker",
        Role::Controller => "controller",
        Role::Both => "broker,controller",
    };

    let mut lines = vec![
        ("process.roles", roles.to_owned()),
        ("node.id", id.to_string()),
        ("controller.quorum.voters", format!("{controller}@127.0.0.1:{controller_port}")),
        ("controller.listener.names", CONTROLLER.to_owned()),
        ("listeners", listeners("127.0.0.1", &|_| true)),
        ("listener.security.protocol.map", protocols.join(",")),
        ("log.dirs", data.display().to_string()),
    ];

    if role != Role::Controller {
        lines.push(("advertised.listeners", listeners("localhost", &|name| name != CONTROLLER)));
        lines.push(("inter.broker.listener.name", INTERNAL.to_owned()));
    }

    lines.extend(shared.properties.iter().map(|(name, value)| (name.as_str(), value.clone())));
    properties::render(&lines)
}
