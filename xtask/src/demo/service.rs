//! The example's service, as a child of the demonstration.

use std::error::Error;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::stack::{Interrupt, Stack, StackOptions, free_port, log_tail};

use super::setup::{DATABASE, PACKAGE};
use crate::child::ChildGroup;
use crate::outcome::report;

const USUAL_PORT: u16 = 8000;
const START: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct OrderService {
    child: ChildGroup,
    log: PathBuf,
    url: String,
    agent: ureq::Agent,
}

impl OrderService {
    /// Starts it and waits until it is healthy.
    pub(crate) fn start(
        stack: &Stack,
        options: &StackOptions,
        program: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let port = match TcpListener::bind(("127.0.0.1", USUAL_PORT)) {
            Ok(_) => USUAL_PORT,
            Err(_) => free_port()?,
        };
        let address = format!("127.0.0.1:{port}");
        report(&format!("starting {PACKAGE} on {address}"));

        let log = options.logs().join(format!("{PACKAGE}.log"));
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        command
            .env("DATABASE_URL", stack.database_url(DATABASE))
            .env("KAFKA_BROKERS", stack.kafka_bootstrap())
            .env("LISTEN", &address)
            .stdout(output.try_clone()?)
            .stderr(output);

        let mut service = Self {
            child: ChildGroup::spawn(&mut command)?,
            log,
            url: format!("http://{address}"),
            agent: ureq::Agent::config_builder()
                .proxy(None)
                .timeout_global(Some(Duration::from_secs(10)))
                .build()
                .new_agent(),
        };
        service.await_health(interrupt)?;
        Ok(service)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let mut response = self.agent.post(format!("{}{path}", self.url)).send_json(body)?;
        if response.status() != 201 {
            return Err(format!("POST {path} answers {}, not 201", response.status()).into());
        }
        Ok(response.body_mut().read_json()?)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Box<dyn Error + Send + Sync>> {
        match self.agent.get(format!("{}{path}", self.url)).call() {
            Ok(mut response) => Ok(response.body_mut().read_json()?),
            Err(error) => Err(self.unexpected("GET", path, error)),
        }
    }

    /// Waits for Ctrl-C, or for the service to end by itself.
    pub(crate) fn wait(&mut self, interrupt: &Interrupt) -> Result<(), Box<dyn Error + Send + Sync>> {
        while !interrupt.is_raised() {
            self.check_runs()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> std::io::Result<()> {
        self.child.stop().map(drop)
    }

    fn await_health(&mut self, interrupt: &Interrupt) -> Result<(), Box<dyn Error + Send + Sync>> {
        let deadline = Instant::now() + START;
        while let Err(error) = self.agent.get(format!("{}/health", self.url)).call() {
            interrupt.check()?;
            self.check_runs()?;
            if Instant::now() > deadline {
                return Err(format!(
                    "{PACKAGE} is not healthy after {} s ({error}); see {}",
                    START.as_secs(),
                    self.log.display()
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn unexpected(&self, method: &str, path: &str, answer: impl std::fmt::Display) -> Box<dyn Error + Send + Sync> {
        format!(
            "{PACKAGE} does not do {method} {path}: {answer}; the end of {}:\n{}",
            self.log.display(),
            log_tail(&self.log, 0, 30)
        )
        .into()
    }

    fn check_runs(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self.child.ended()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "{PACKAGE} ended with {status}; the end of {}:\n{}",
                self.log.display(),
                log_tail(&self.log, 0, 30)
            )
            .into()),
        }
    }
}
