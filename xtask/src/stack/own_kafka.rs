use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::StackError;
use super::process::{Launch, ProcessIdentity};
use super::service::Service;
use super::{Stack, kafka, log_tail, paths, ports, properties};

/// A Kafka node of a test's own, with the programs of a stack and other listeners. It ends with this value, or with the
/// process, and its files with it. Meanwhile it may be ended and started again.
#[derive(Debug)]
pub struct OwnKafka {
    server: Option<Child>,
    launch: Launch,
    home: PathBuf,
    listeners: BTreeMap<String, u16>,
}

/// What a node is to be like.
#[derive(Debug)]
pub struct OwnKafkaBuilder {
    launch: Launch,
    /// Name, protocol and port of each listener.
    listeners: Vec<(String, String, u16)>,
    properties: Vec<(String, String)>,
    scram: Vec<String>,
}

/// Ends the server when this process does, however that ends.
pub(super) const WATCHDOG: &str =
    r#"exec 3<&0; "$@" </dev/null & server=$!; read -r _ <&3; kill -KILL "$server"; wait"#;
const START: Duration = Duration::from_secs(90);
/// How long a node may take to end in the orderly way.
const STOP: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const CLUSTER_ID: &str = "b3V0Ym94LXRlc3Qtb3duMQ";

impl Stack {
    /// A Kafka node of the caller's own. It has a listener `PLAINTEXT` for itself.
    pub fn own_kafka(&self) -> Result<OwnKafkaBuilder, StackError> {
        let builder = OwnKafkaBuilder {
            launch: self.state.service(Service::Kafka)?.launch.clone(),
            listeners: Vec::new(),
            properties: Vec::new(),
            scram: Vec::new(),
        };
        builder.listener("PLAINTEXT", "PLAINTEXT")?.listener("CONTROLLER", "PLAINTEXT")
    }
}

impl OwnKafkaBuilder {
    /// A listener on a free port; `protocol` is one of Kafka's, such as `SASL_SSL`.
    pub fn listener(mut self, name: &str, protocol: &str) -> Result<Self, StackError> {
        let port = loop {
            let port = ports::free_port()?;
            if self.listeners.iter().all(|(.., other)| *other != port) {
                break port;
            }
        };
        self.listeners.push((name.to_owned(), protocol.to_owned(), port));
        Ok(self)
    }

    /// A line of `server.properties`.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// A user who may log in by `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[must_use]
    pub fn scram_user(mut self, mechanism: &str, name: &str, password: &str) -> Self {
        self.scram.push(format!("{mechanism}=[name={name},password={password}]"));
        self
    }

    /// Starts the node, and waits until it answers.
    pub fn start(self) -> Result<OwnKafka, StackError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("outbox-kafka-{}-{number}", std::process::id()));
        paths::create(&home.join("data"))?;
        let config = home.join("server.properties");
        paths::write(&config, &self.server_properties(&home.join("data")))?;
        let launch = &self.launch;
        let class_path = launch.args.iter().skip_while(|arg| *arg != "-cp").nth(1).cloned().unwrap_or_default();

        let mut format = Command::new(&launch.program);
        format.args(["-cp", &class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&config);
        for user in &self.scram {
            format.args(["--add-scram", user]);
        }
        let formatted = format.env_clear().envs(&launch.env).current_dir(&home).output();
        let formatted = formatted.map_err(|error| StackError::caused("cannot format Kafka's storage", error))?;
        if !formatted.status.success() {
            let said = String::from_utf8_lossy(&formatted.stderr).into_owned();
            return Err(StackError::new(format!("cannot format Kafka's storage: {said}")));
        }

        // The last argument is the configuration of the stack's own node.
        let mut launch = self.launch;
        launch.args.pop();
        launch.args.push(config.display().to_string());
        launch.directory.clone_from(&home);
        launch.log = home.join("kafka.log");
        let listeners = self.listeners.into_iter().map(|(name, _, port)| (name, port)).collect();
        let mut kafka = OwnKafka { server: None, launch, home, listeners };
        kafka.start()?;
        Ok(kafka)
    }

    fn server_properties(&self, data: &Path) -> String {
        let joined = |what: &dyn Fn(&(String, String, u16)) -> String, more: &[&(String, String, u16)]| {
            more.iter().map(|listener| what(listener)).collect::<Vec<_>>().join(",")
        };
        let all: Vec<_> = self.listeners.iter().collect();
        let public: Vec<_> = self.listeners.iter().filter(|(name, ..)| name != "CONTROLLER").collect();
        let controller = self.listeners.iter().find(|(name, ..)| name == "CONTROLLER").map_or(0, |(.., port)| *port);
        let one = || "1".to_owned();
        let mut lines = vec![
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", one()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listeners", joined(&|(name, _, port)| format!("{name}://127.0.0.1:{port}"), &all)),
            // By a name, which certificates have.
            ("advertised.listeners", joined(&|(name, _, port)| format!("{name}://localhost:{port}"), &public)),
            ("listener.security.protocol.map", joined(&|(name, protocol, _)| format!("{name}:{protocol}"), &all)),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("log.dirs", data.display().to_string()),
            ("offsets.topic.replication.factor", one()),
            ("transaction.state.log.replication.factor", one()),
            ("transaction.state.log.min.isr", one()),
        ];
        lines.extend(self.properties.iter().map(|(name, value)| (name.as_str(), value.clone())));
        properties::render(&lines)
    }
}

impl OwnKafka {
    /// A listener's address, for `bootstrap.servers`.
    pub fn address(&self, listener: &str) -> Option<String> {
        self.listeners.get(listener).map(|port| format!("localhost:{port}"))
    }

    /// Starts the node again where it listened before, with what it has stored, and waits until it answers.
    pub fn start(&mut self) -> Result<(), StackError> {
        let Launch { program, args, env, directory, log, .. } = &self.launch;
        let open = fs::OpenOptions::new().create(true).append(true).open(log);
        let open = open.map_err(StackError::file("create", log))?;
        let errors = open.try_clone().map_err(StackError::file("write", log))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(program).args(args);
        command.env_clear().envs(env).current_dir(directory).process_group(0);
        let server = command.stdin(Stdio::piped()).stdout(open).stderr(errors).spawn();
        self.server = Some(server.map_err(|error| StackError::caused("cannot start Kafka", error))?);
        self.await_ready()
    }

    /// Ends the node in the orderly way.
    pub fn stop(&mut self) -> Result<(), StackError> {
        let nodes = self.server.as_ref().and_then(|server| ProcessIdentity::of(server.id()));
        let nodes = nodes.map(|watchdog| watchdog.children()).unwrap_or_default();
        for node in &nodes {
            node.signal(Signal::TERM)?;
        }
        let deadline = Instant::now() + STOP;
        while nodes.iter().any(ProcessIdentity::is_alive) {
            if Instant::now() > deadline {
                let text = log_tail(&self.launch.log, 0, 30);
                return Err(StackError::new(format!("Kafka does not end. Its log:\n{text}")));
            }
            thread::sleep(POLL);
        }
        self.kill();
        Ok(())
    }

    /// Ends the node at once, with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The watchdog ends the node when nothing more can come.
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }

    fn await_ready(&mut self) -> Result<(), StackError> {
        let deadline = Instant::now() + START;
        let port = self.listeners.get("PLAINTEXT").copied().unwrap_or(0);
        while let Err(reason) = kafka::probe(port) {
            let is_running = self.server.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(None)));
            if !is_running || Instant::now() > deadline {
                let text = log_tail(&self.launch.log, 0, 30);
                return Err(StackError::caused(format!("Kafka does not answer. Its log:\n{text}"), reason));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.home);
    }
}
