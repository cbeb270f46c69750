use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::StackError;
use super::log;
use super::process::{Launch, ProcessIdentity};
use super::readiness::{Probed, wait_until};

/// Ends the server when the process that started it ends, in whatever way. The end of the pipe is the signal.
const WATCHDOG: &str = r#"exec 3<&0; "$@" </dev/null & server=$!; read -r _ <&3; kill -KILL "$server"; wait"#;
const FORK: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_secs(300);
/// The time that an orderly end may take.
const STOP: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const LOG_LINES: usize = 40;

/// A server that ends with this value and with the calling process. Meanwhile it can be ended and started again.
#[derive(Debug)]
pub(crate) struct GuardedProcess {
    name: String,
    launch: Launch,
    watchdog: Mutex<Option<Child>>,
    is_frozen: AtomicBool,
}

impl GuardedProcess {
    /// Creates a server that does not run yet; errors call it `name`.
    pub(crate) fn new(name: impl Into<String>, launch: Launch) -> Self {
        Self { name: name.into(), launch, watchdog: Mutex::default(), is_frozen: AtomicBool::new(false) }
    }

    pub(crate) fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Starts the program unless it runs.
    pub(crate) fn spawn(&self) -> Result<(), StackError> {
        let mut watchdog = self.watchdog();
        if watchdog.as_mut().is_some_and(is_running) {
            return Ok(());
        }

        let Launch { program, args, env, directory, account, log } = &self.launch;
        let output = OpenOptions::new().create(true).append(true).open(log).map_err(StackError::file("create", log))?;
        let errors = output.try_clone().map_err(StackError::file("write", log))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(program).args(args);
        command.env_clear().envs(env).current_dir(directory).process_group(0);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        if let Some(account) = account {
            account.run(&mut command);
        }

        let spawned = command.spawn();
        let spawned = spawned.map_err(|error| StackError::caused(format!("cannot start {}", self.name), error))?;
        // Until the shell has started the server, it would look like one that has ended.
        let shell = ProcessIdentity::of(spawned.id());
        wait_until(FORK, || shell.as_ref().is_none_or(ProcessIdentity::has_children));
        *watchdog = Some(spawned);
        Ok(())
    }

    /// Waits until the server answers. Fails if it ends, or does not answer within two minutes.
    pub(crate) fn await_ready(&self, mut probe: impl FnMut() -> Probed) -> Result<(), StackError> {
        let deadline = Instant::now() + START;
        while let Err(reason) = probe() {
            let problem = if !self.is_running() {
                "ended before it answered"
            } else if Instant::now() > deadline {
                "does not answer"
            } else {
                thread::sleep(POLL);
                continue;
            };
            return Err(StackError::caused(self.with_log(problem), reason));
        }
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.watchdog().as_mut().is_some_and(is_running) && !self.servers().is_empty()
    }

    /// Ends the server in the orderly way (SIGTERM), also if it is frozen.
    pub(crate) fn stop(&self) -> Result<(), StackError> {
        let servers = self.servers();
        for server in &servers {
            server.signal(Signal::TERM)?;
            server.signal(Signal::CONT)?;
        }
        if !wait_until(STOP, || !servers.iter().any(ProcessIdentity::is_alive)) {
            return Err(StackError::new(self.with_log("does not end")));
        }
        self.kill();
        Ok(())
    }

    /// Ends the server at once (SIGKILL).
    pub(crate) fn kill(&self) {
        if let Some(mut watchdog) = self.watchdog().take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
        self.is_frozen.store(false, Ordering::Relaxed);
    }

    /// Stops the server's execution (SIGSTOP): it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) -> Result<(), StackError> {
        self.signal(Signal::STOP)?;
        self.is_frozen.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Continues a frozen server (SIGCONT).
    pub(crate) fn thaw(&self) -> Result<(), StackError> {
        self.signal(Signal::CONT)?;
        self.is_frozen.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether the server was frozen and has not been continued or ended since.
    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::Relaxed)
    }

    /// Returns the server's process id, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.servers().first().map(|server| server.pid)
    }

    fn signal(&self, signal: Signal) -> Result<(), StackError> {
        let servers = self.servers();
        if servers.is_empty() {
            return Err(StackError::new(format!("{} does not run: start it first", self.name)));
        }
        servers.iter().try_for_each(|server| server.signal(signal))
    }

    fn servers(&self) -> Vec<ProcessIdentity> {
        let watchdog = self.watchdog().as_ref().and_then(|watchdog| ProcessIdentity::of(watchdog.id()));
        watchdog.map(|watchdog| watchdog.children()).unwrap_or_default()
    }

    fn watchdog(&self) -> MutexGuard<'_, Option<Child>> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_log(&self, problem: &str) -> String {
        let log = log::tail(&self.launch.log, 0, LOG_LINES);
        format!("{} {problem}; the end of {}:\n{log}", self.name, self.launch.log.display())
    }
}

impl Drop for GuardedProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.with_log("ran for a test that fails"));
        }
        self.kill();
    }
}

fn is_running(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}
