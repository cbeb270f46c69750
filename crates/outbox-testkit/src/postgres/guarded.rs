use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use super::error::PostgresError;
use super::home::Home;
use super::programs::{SHELL, clean_environment};

const WATCHDOG: &str = include_str!("watchdog.sh");

/// PostgreSQL itself gives its processes 5 s before it kills them.
const PATIENCE: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(2);

/// `initdb` or the server. It ends with the value, and by the watchdog when this process ends in any other way.
#[derive(Debug)]
pub(super) struct Guarded(Child);

impl Guarded {
    pub(super) fn spawn(
        program: &Path,
        args: &[String],
        home: &Home,
        account: Option<&Account>,
    ) -> Result<Self, PostgresError> {
        let path = home.log();
        let log = OpenOptions::new().append(true).open(&path).map_err(PostgresError::file("open", &path))?;
        let errors = log.try_clone().map_err(PostgresError::file("open", &path))?;
        let mut command = Command::new(SHELL);
        command.args(["-c", WATCHDOG, "outbox-testkit-watchdog"]).arg(home.path()).arg(program).args(args);
        clean_environment(&mut command);
        command.current_dir(home.path()).stdin(Stdio::piped()).stdout(log).stderr(errors);
        // Not in the terminal's group: Ctrl-C must not end the server before the program has drained.
        command.process_group(0);
        if let Some(account) = account {
            account.run(&mut command);
        }
        command.spawn().map(Self).map_err(PostgresError::file("run", Path::new(SHELL)))
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        // Not `Child::wait`, which would close the watchdog's pipe first.
        loop {
            match self.0.try_wait()? {
                Some(status) => return Ok(status),
                None => thread::sleep(POLL),
            }
        }
    }

    /// Ends the server as a crash would. What an orderly end adds, a checkpoint and streams sent to their end, is worth
    /// nothing for data that is thrown away, and a reader that does not read would hold it up.
    pub(super) fn end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        if !self.has_ended()
            && let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
        {
            // A failure shows below.
            let _ = kill_process(pid, Signal::QUIT);
        }
        while !self.has_ended() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        if !self.has_ended() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
        if let Some(mut lifeline) = self.0.stdin.take() {
            // The watchdog must not signal a process that is no longer ours.
            let _ = lifeline.write_all(b"ended\n");
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}
