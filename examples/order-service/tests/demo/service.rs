use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The program with its own servers. It ends with the test.
pub(crate) struct Demo {
    child: Child,
    address: String,
    pub(crate) agent: ureq::Agent,
}

impl Demo {
    /// Starts it and waits until it can serve.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at(format!("127.0.0.1:{}", xtask::stack::free_port().unwrap()), arguments)
    }

    /// Ends it, and starts it again at the same address, with new servers.
    pub(crate) fn restart(self, between: impl FnOnce()) -> Self {
        let address = self.address.clone();
        assert!(self.stop());
        between();
        Self::start_at(address, &["demo"])
    }

    fn start_at(address: String, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_order-service"));

        for name in ["DATABASE_URL", "KAFKA_BROKERS", "CONNECTOR_CONFIG", "OUTBOX", "MODE", "PAGE", "RUST_LOG"] {
            command.env_remove(name);
        }

        let child = command.args(arguments).env("LISTEN", &address).stdin(Stdio::null()).spawn().unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(300)));
        let mut demo = Self { child, address, agent: config.build().new_agent() };
        demo.wait("the service is ready", |demo| {
            assert!(demo.child.try_wait().unwrap().is_none(), "the service has ended");
            let ready = demo.agent.get(demo.url("/ready")).call();
            ready.is_ok_and(|answer| answer.status() == 200).then_some(())
        });
        demo
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.agent.get(self.url(path)).call().unwrap().body_mut().read_json().unwrap()
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.agent.get(self.url(path)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Waits until there is a value.
    pub(crate) fn wait<T>(&mut self, what: &str, mut value: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(300);
        loop {
            if let Some(value) = value(self) {
                return value;
            }
            assert!(Instant::now() < end, "not within five minutes: {what}");
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Asks it to stop, and returns whether it ended in good order.
    pub(crate) fn stop(mut self) -> bool {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
