//! The services of docker-compose.yml as plain processes, on the shared PostgreSQL, Kafka and Kafka Connect.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use outbox_core::ConnectorConfig;
use outbox_test_support::{Connector, TestEnv, eventually, stack};
use serde_json::Value;
use xtask::stack::free_port;

use crate::compose::{Compose, list, mounts};
use crate::files::{self, text};
use crate::fixture::http::Http;
use crate::fixture::{Answer, blocking};

/// The names on the servers that tests must not share, and what the name of a test has in addition.
const NAMES: [(&str, &str); 6] = [
    ("outbox_db", ""),
    ("outbox-connector", ""),
    ("outbox_connector", "_connector"),
    ("outbox_application", "_application"),
    ("outbox_maintainer", "_maintainer"),
    ("order_service_login", "_service"),
];

/// The deployment of one test: its database, names, ports and files.
pub(crate) struct Plain {
    compose: Compose,
    pub(crate) env: TestEnv,
    relay: SocketAddr,
    service: SocketAddr,
    directory: PathBuf,
}

impl Plain {
    pub(crate) async fn new() -> Self {
        let env = TestEnv::builder().database().kafka().build().await;
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(env.name());
        fs::create_dir_all(&directory).unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (relay, service) = (local(free_port().unwrap()), local(free_port().unwrap()));
        Self { compose: Compose::load(), env, relay, service, directory }
    }

    pub(crate) fn compose(&self) -> &Compose {
        &self.compose
    }

    pub(crate) fn service_address(&self) -> SocketAddr {
        self.service
    }

    /// Runs a one-shot service, as Compose would, and asserts that it succeeds.
    pub(crate) async fn run(&self, name: &str, service: &Value) {
        let mut command = self.command(name, service);
        let output = blocking(move || command.output().unwrap()).await;
        assert!(
            output.status.success(),
            "{name}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts a service and waits until its health check succeeds.
    pub(crate) async fn start(&self, name: &str, service: &Value) -> Process {
        let process = Process(self.command(name, service).stdin(Stdio::null()).spawn().unwrap());
        let check = list(&service["healthcheck"], "test");
        assert_eq!(check[..5], ["CMD", "wget", "-q", "-O", "/dev/null"], "{name}");
        eventually(format!("the health check of {name} succeeds"), async || self.get(&check[5]).await.status == 200)
            .await;
        process
    }

    /// Sends a request to an address inside of a container.
    pub(crate) async fn get(&self, url: &str) -> Answer {
        let url = self.mapped(url);
        let answer = eventually(format!("{url} answers"), async || {
            let request = ureq::http::Request::get(&url).body(Vec::new()).unwrap();
            Http::new().try_send(request).await
        });
        answer.await
    }

    /// Returns the guard that deletes the connector at the end.
    pub(crate) fn connector(&self) -> Connector {
        Connector::new(self.env.name(), self.connector_config())
    }

    fn command(&self, name: &str, service: &Value) -> Command {
        let files = self.files(name, service);
        let placed = |argument: String| match files.iter().find(|(target, _)| *target == argument) {
            Some((_, path)) => path.display().to_string(),
            None => self.mapped(&argument),
        };

        let mut words = list(service, "entrypoint");
        words.extend(list(service, "command"));
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_else(|| panic!("{name} has no command"));
        let mut command = if program == "psql" {
            // A downloaded PostgreSQL has no psql.
            let psql = stack().postgres_programs().join("psql");
            Command::new(if psql.is_file() { psql } else { PathBuf::from("psql") })
        } else {
            assert!(service.get("build").is_some(), "{name} runs {program} of an image of others");
            Command::new(files::program(&program))
        };

        // The service has the configuration built in, with the names of the deployment.
        let config = self.directory.join("built-in.json");
        fs::write(&config, self.connector_config().to_json()).unwrap();
        command.args(words.map(placed)).env_clear().env("CONNECTOR_CONFIG", config);
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_else(|| panic!("{name}: {variable} is no text"));
            command.env(variable, self.variable(variable, value));
        }
        if program == "psql" {
            command.env("PGPORT", stack().postgres_port().to_string());
        }
        command
    }

    fn variable(&self, name: &str, value: &str) -> String {
        match name {
            "OUTBOX_DB_HOST" | "PGHOST" => {
                assert_eq!(value, "postgres", "{name}");
                stack().postgres_host().to_owned()
            }
            "OUTBOX_DB_PORT" => stack().postgres_port().to_string(),
            _ => self.mapped(value),
        }
    }

    /// Replaces addresses of containers and shared names by those of the test.
    pub(crate) fn mapped(&self, text: &str) -> String {
        let stack = stack();
        let postgres = format!("{}:{}", stack.postgres_host(), stack.postgres_port());
        let (service, relay) = (self.service.to_string(), self.relay.to_string());
        let mut text = self
            .compose
            .interpolated(text)
            .replace("http://connect:8083", &stack.connect_url())
            .replace("postgres:5432", &postgres)
            .replace("kafka:19092", &stack.kafka_bootstrap());
        for address in ["order-service:8000", "0.0.0.0:8000", "127.0.0.1:8000"] {
            text = text.replace(address, &service);
        }

        for address in ["relay:9404", "0.0.0.0:9404", "127.0.0.1:9404"] {
            text = text.replace(address, &relay);
        }

        for (name, suffix) in NAMES {
            text = text.replace(name, &format!("{}{suffix}", self.env.name()));
        }
        text
    }

    /// Copies what a service mounts, with the names of the test. Returns the targets and the copies.
    fn files(&self, name: &str, service: &Value) -> Vec<(String, PathBuf)> {
        let copied = mounts(service).into_iter().map(|(source, target)| {
            let copy = self.directory.join(target.rsplit('/').next().unwrap());
            let content = match (&*source, name) {
                // Kafka Connect is shared by all tests, so its environment has no values for this one.
                ("outbox-connector.json", "setup-connector") => self.resolved(self.connector_config()).to_json(),
                ("outbox-connector.json", _) => self.connector_config().to_json(),
                _ => self.mapped(&text(&source)),
            };
            fs::write(&copy, content).unwrap();
            (target, copy)
        });
        copied.collect()
    }

    /// Returns the deployed configuration with the names of the test.
    fn connector_config(&self) -> ConnectorConfig {
        let name = self.env.name();
        ConnectorConfig::from_json(&text("outbox-connector.json"))
            .unwrap()
            .with("slot.name", name)
            .with("publication.name", name)
            .with("topic.prefix", name)
            .with("transforms.outbox.route.topic.replacement", format!("{name}.${{routedByValue}}"))
    }

    /// Replaces placeholders by the values that Kafka Connect's environment has in docker-compose.yml.
    fn resolved(&self, config: ConnectorConfig) -> ConnectorConfig {
        let services = self.compose.services("debezium");
        let environment = services["connect"]["environment"].as_object().unwrap();
        let entries: Vec<(String, String)> =
            config.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();

        entries.into_iter().fold(config, |config, (key, value)| {
            match value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')) {
                Some(variable) => {
                    let value = environment[variable].as_str().unwrap();
                    config.with(key, self.variable(variable, value))
                }
                None => config,
            }
        })
    }

    /// Returns the directory of the test's files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs the program `outbox` against the deployment.
    pub(crate) async fn outbox(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(files::program("outbox"));
        let stack = stack();
        command
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", self.env.url())
            .env("KAFKA_BROKERS", stack.kafka_bootstrap())
            .env("CONNECT_URL", stack.connect_url());
        blocking(move || command.output().unwrap()).await
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// A process that is killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
