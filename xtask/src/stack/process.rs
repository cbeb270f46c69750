use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use outbox_testkit::local::Account;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::error::StackError;

/// One run of a program. A pid alone is not enough to signal a process: it may have ended, and another process may have
/// the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: u32,
    pub(crate) started: String,
}

impl ProcessIdentity {
    /// Returns the process that has this pid now; `None` if there is none or it is only waiting to be reaped.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = if Path::new("/proc/self/stat").exists() {
            let stat = ProcStat::read(pid).filter(|stat| !stat.zombie)?;
            // Ticks count from the boot, so that they are an identity only together with it.
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            format!("{} {}", boot.trim(), stat.start_ticks)
        } else {
            started_by_ps(pid)?
        };
        Some(Self { pid, started })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Returns whether the process was reaped. An ended process keeps its pid until its parent has waited for it.
    pub(crate) fn is_gone(&self) -> bool {
        !self.is_alive() && ProcStat::read(self.pid).is_none_or(|stat| !stat.zombie)
    }

    /// Sends a signal if the process is still the same one.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), StackError> {
        if !self.is_alive() {
            return Ok(());
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(StackError::caused(format!("cannot signal process {}", self.pid), std::io::Error::from(error)))
            }
        }
    }

    /// Returns whether it has started a process that it has not yet waited for.
    pub(crate) fn has_children(&self) -> bool {
        !pids_of_children(self.pid).is_empty()
    }

    /// Returns the processes that this one has started and that still run.
    pub(crate) fn children(&self) -> Vec<Self> {
        pids_of_children(self.pid).into_iter().filter_map(Self::of).collect()
    }
}

/// The way in which a server is started; kept in the state file so that it can be started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// The whole environment: nothing of the caller's reaches the server.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) directory: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) log: PathBuf,
}

impl Launch {
    /// Returns what follows `-cp`, for a program in Java.
    pub(crate) fn class_path(&self) -> &str {
        self.args.iter().skip_while(|argument| *argument != "-cp").nth(1).map_or("", String::as_str)
    }

    /// Starts the program so that it outlives the caller and its terminal.
    pub(crate) fn spawn(&self) -> Result<ProcessIdentity, StackError> {
        let log = append_to(&self.log)?;
        let errors = log.try_clone().map_err(StackError::file("write", &self.log))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);

        if let Some(account) = &self.account {
            account.run(&mut command);
        }

        let mut child = command
            .spawn()
            .map_err(|error| StackError::caused(format!("cannot start {}", self.program.display()), error))?;
        let pid = child.id();
        let identity = ProcessIdentity::of(pid);

        // An ended child stays a zombie until someone waits for it.
        thread::spawn(move || child.wait());
        identity.ok_or_else(|| {
            StackError::new(format!(
                "{} ended as soon as it was started; see {}",
                self.program.display(),
                self.log.display()
            ))
        })
    }
}

/// Returns the variables that every server gets.
pub(crate) fn base_environment() -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Ok(value) = std::env::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
    env.insert("LC_ALL".to_owned(), "C".to_owned());
    env.insert("TZ".to_owned(), "UTC".to_owned());
    env
}

fn append_to(log: &Path) -> Result<File, StackError> {
    OpenOptions::new().create(true).append(true).open(log).map_err(StackError::file("open", log))
}

struct ProcStat {
    zombie: bool,
    parent: u32,
    start_ticks: u64,
}

impl ProcStat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The program's name, in parentheses, may itself hold blanks and parentheses.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after_name.split(' ').collect();
        Some(Self {
            zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

fn started_by_ps(pid: u32) -> Option<String> {
    let output =
        Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).env("LC_ALL", "C").output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    let (status, started) = line.trim().split_once(' ')?;
    (!status.starts_with('Z')).then(|| started.trim().to_owned())
}

fn pids_of_children(parent: u32) -> Vec<u32> {
    if let Ok(entries) = fs::read_dir("/proc")
        && Path::new("/proc/self/stat").exists()
    {
        return entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| ProcStat::read(*pid).is_some_and(|stat| stat.parent == parent))
            .collect();
    }
    let Ok(output) = Command::new("ps").args(["-axo", "pid=,ppid="]).output() else {
        return Vec::new();
    };

    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace().map(str::parse::<u32>);
            let pid = columns.next()?.ok()?;
            (columns.next()?.ok()? == parent).then_some(pid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_with_another_start_time_is_not_ours() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let stranger = ProcessIdentity { started: "earlier".to_owned(), ..own };
        assert!(!stranger.is_alive());
        // Would end the test run if it reached the process.
        stranger.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) S) b) Z 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 0 0";
        let stat = ProcStat::parse(stat).unwrap();
        assert!(stat.zombie);
        assert_eq!(stat.parent, 7);
        assert_eq!(stat.start_ticks, 123_456);
    }

    #[test]
    fn an_ended_child_is_not_alive_even_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        let parent = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(parent.children().contains(&identity));
        identity.signal(Signal::KILL).unwrap();
        while identity.is_alive() {
            thread::yield_now();
        }
        child.wait().unwrap();
    }
}
