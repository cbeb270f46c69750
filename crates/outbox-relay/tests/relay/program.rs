use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::fixture::RelayEnv;

/// The binary `outbox-relay` on a fixture's slot. It is killed with the value, and a test that fails shows its log.
pub(crate) struct Program {
    child: Child,
    files: PathBuf,
}

impl Program {
    pub(crate) fn start(fixture: &RelayEnv) -> Self {
        Self::start_with(fixture, &[])
    }

    /// Starts it with more arguments than connector and brokers.
    pub(crate) fn start_with(fixture: &RelayEnv, arguments: &[&str]) -> Self {
        Self::start_in(fixture, arguments, &[])
    }

    /// Starts it with more arguments and variables.
    pub(crate) fn start_in(fixture: &RelayEnv, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let files = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(fixture.name());
        fs::create_dir_all(&files).unwrap();
        let connector = files.join("connector.json");
        fs::write(&connector, fixture.config.to_json()).unwrap();

        let child = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
            .arg("--connector")
            .arg(connector)
            .args(["--brokers", &fixture.brokers])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(File::create(files.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, files }
    }

    /// Returns what it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.files.join("log")).unwrap()
    }

    /// Returns the most memory that it has had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Kills the program by SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the program in an orderly way.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.files.join("log")).unwrap_or_default();
            let end = log.lines().count().saturating_sub(50);
            eprintln!("the relay's log:\n{}", log.lines().skip(end).collect::<Vec<_>>().join("\n"));
        }
        _ = fs::remove_dir_all(&self.files);
    }
}
