use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::stack::{ConnectRest, Service, Stack};

use crate::Outcome;
use crate::relay::setting::Setting;
use crate::run_env::RunEnv;

/// A connector on the stack's worker.
#[derive(Debug)]
pub(crate) struct Debezium {
    stack: Stack,
    rest: ConnectRest,
    name: Option<String>,
}

impl Debezium {
    pub(crate) fn start(setting: &Setting, env: &RunEnv) -> Outcome<Self> {
        let (stack, rest) = (setting.stack.clone(), setting.stack.connect_rest());
        let config: Value = serde_json::to_value(env.config())?;
        let connector = Self { stack, rest, name: Some(env.name().to_owned()) };
        connector.rest.put_config(env.name(), &config)?;
        Ok(connector)
    }

    pub(crate) fn pid(&self) -> Outcome<Option<u32>> {
        Ok(self.stack.pid(Service::Connect)?)
    }

    pub(crate) fn check(&self) -> Outcome<()> {
        match &self.name {
            Some(name) => Ok(self.rest.wait_running(name, Duration::from_secs(20))?),
            None => Ok(()),
        }
    }

    /// Kills the whole worker: that is what a crash takes with it.
    pub(crate) fn crash(&self) -> Outcome<Instant> {
        self.stack.kill(Service::Connect)?;
        let started = Instant::now();
        self.stack.start(Service::Connect)?;
        Ok(started)
    }

    pub(crate) fn stop(mut self) -> Outcome<()> {
        match self.name.take() {
            Some(name) => Ok(self.rest.delete(&name)?),
            None => Ok(()),
        }
    }
}

impl Drop for Debezium {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let _ = self.rest.delete(&name);
        }
    }
}
