use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use xtask::stack::log_tail;

use crate::Outcome;
use crate::relay::setting::Setting;
use crate::run_env::RunEnv;

const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// The relay as a child process.
#[derive(Debug)]
pub(crate) struct Native {
    program: PathBuf,
    arguments: [String; 4],
    log: PathBuf,
    child: Child,
}

impl Native {
    pub(crate) fn start(setting: &Setting, env: &RunEnv) -> Outcome<Self> {
        let connector = setting.runs.join(format!("{}.json", env.name()));
        fs::write(&connector, env.config().to_json())?;
        let log = setting.runs.join(format!("{}.log", env.name()));
        File::create(&log)?;
        let arguments = [
            "--connector".to_owned(),
            connector.display().to_string(),
            "--brokers".to_owned(),
            env.brokers().to_owned(),
        ];
        let child = spawn(&setting.relay, &arguments, &log)?;
        Ok(Self { program: setting.relay.clone(), arguments, log, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn check(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "the relay ended with {status}; the end of {}:\n{}",
                self.log.display(),
                log_tail(&self.log, 0, 15)
            )
            .into()),
        }
    }

    pub(crate) fn crash(&mut self) -> Outcome<Instant> {
        self.check()?;
        self.child.kill()?;
        self.child.wait()?;
        let started = Instant::now();
        self.child = spawn(&self.program, &self.arguments, &self.log)?;
        Ok(started)
    }

    pub(crate) fn stop(mut self) -> Outcome<()> {
        self.check()?;
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }

        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return self.check(),
                None => thread::sleep(POLL),
            }
        }
        Err(format!("the relay did not end within {} s of SIGTERM; see {}", GRACE.as_secs(), self.log.display()).into())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn spawn(program: &PathBuf, arguments: &[String], log: &PathBuf) -> Outcome<Child> {
    let log = OpenOptions::new().append(true).open(log)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}
