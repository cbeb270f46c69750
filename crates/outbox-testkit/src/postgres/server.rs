//! A server of PostgreSQL: its data directory, its process, and where it listens.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Mutex;
use tokio_postgres::Config;

use super::account::Account;
use super::admin;
use super::error::{Kind, PostgresError};
use super::home::Home;
use super::programs::{Programs, SHELL, clean_environment};
use super::random;

pub(super) const SUPERUSER: &str = "postgres";

/// The time that a server may take until it answers, including recovery after a crash.
const START: Duration = Duration::from_secs(180);
/// The time that one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// Between the choice of a free port and its use, another process may take it.
const PORTS: usize = 5;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// PostgreSQL itself gives its processes 5 s before it kills them.
const PATIENCE: Duration = Duration::from_secs(8);
const GUARD_POLL: Duration = Duration::from_millis(2);

/// The most lines, and bytes, of a log in an error.
const MAX_LINES: usize = 20;
const MAX_TAIL: u64 = 16 * 1024;

/// A postmaster that serves a cluster.
pub(super) struct Server {
    // Before the cluster, whose files it uses until it is dropped.
    postmaster: Arc<Mutex<Guarded>>,
    cluster: Cluster,
    settings: BTreeMap<String, String>,
    port: u16,
}

impl Server {
    pub(super) async fn start(cluster: Cluster, settings: BTreeMap<String, String>) -> Result<Self, PostgresError> {
        let mut attempts = 1;
        loop {
            let port = free_port()?;
            match launch(&cluster, &settings, port).await {
                Ok(postmaster) => {
                    let (version, programs) = (cluster.programs.version(), cluster.programs.directory().display());
                    tracing::info!(port, version, %programs, "throw-away PostgreSQL listens on 127.0.0.1");
                    return Ok(Self { postmaster: Arc::new(Mutex::new(postmaster)), cluster, settings, port });
                }
                Err(error) if is_port_taken(&error) && attempts < PORTS => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the postmaster as a crash would, and starts it again.
    pub(super) async fn crash(&self) -> Result<(), PostgresError> {
        let mut postmaster = Arc::clone(&self.postmaster).lock_owned().await;
        let ended = tokio::task::spawn_blocking(move || {
            postmaster.end();
            postmaster
        });
        let mut postmaster = ended.await.map_err(|error| PostgresError::caused(Kind::Runtime, error))?;
        *postmaster = launch(&self.cluster, &self.settings, self.port).await?;
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.cluster.password.0, self.port)
    }

    /// Returns the superuser's connection to the database `postgres`.
    pub(super) fn config(&self) -> Config {
        config(&self.cluster, self.port)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).field("cluster", &self.cluster).finish()
    }
}

/// Starts PostgreSQL and waits until it accepts connections. If it ends or does not answer in time, the error contains
/// the end of its log.
async fn launch(cluster: &Cluster, settings: &BTreeMap<String, String>, port: u16) -> Result<Guarded, PostgresError> {
    let mut args = vec!["-D".to_owned(), cluster.home.data().display().to_string()];
    for (name, value) in settings {
        args.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    args.extend(["-c".to_owned(), format!("port={port}")]);
    let log_start = log_length(&cluster.home.log());
    let program = cluster.programs.directory().join("postgres");
    let mut postmaster = Guarded::spawn(&program, &args, &cluster.home, cluster.account.as_ref())?;

    let (config, began) = (config(cluster, port), Instant::now());
    loop {
        let Err(reason) = admin::run(&config, &[], ATTEMPT).await else {
            return Ok(postmaster);
        };
        if postmaster.has_ended() {
            return Err(PostgresError::new(Kind::Ended { log: log_tail(&cluster.home.log(), log_start) }));
        }
        if began.elapsed() > START {
            let log = log_tail(&cluster.home.log(), log_start);
            return Err(PostgresError::caused(Kind::Deadline { waited: START, log }, reason));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn config(cluster: &Cluster, port: u16) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(SUPERUSER).password(&cluster.password.0).dbname("postgres");
    config
}

fn free_port() -> Result<u16, PostgresError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| PostgresError::caused(Kind::Port, error))
}

fn is_port_taken(error: &PostgresError) -> bool {
    matches!(error.kind(), Kind::Ended { log } if log.contains("Address already in use"))
}

/// An initialised data directory, with the settings to run a server on it.
#[derive(Debug)]
pub(super) struct Cluster {
    programs: Programs,
    account: Option<Account>,
    home: Home,
    password: Secret,
}

struct Secret(String);

impl Cluster {
    /// Runs `initdb`.
    ///
    /// There is a random password, as a loopback port is open to every user of the machine, and a server that later
    /// gets the same port must not be taken for this one. It is sent in clear over the loopback: SCRAM would cost each
    /// connection of a client that is built without optimisation tens of milliseconds.
    pub(super) fn initialise(programs: Programs, account: Option<Account>) -> Result<Self, PostgresError> {
        let home = Home::create(account.as_ref())?;
        let password = random::hex::<16>()?;
        let file = home.write_secret("password", &password, account.as_ref())?;
        let mut args =
            ["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", "--auth=password"].map(str::to_owned).to_vec();
        args.extend([format!("--pgdata={}", home.data().display()), format!("--pwfile={}", file.display())]);
        let program = programs.directory().join("initdb");
        let status = Guarded::spawn(&program, &args, &home, account.as_ref())?
            .wait()
            .map_err(PostgresError::file("run", &program))?;
        if !status.success() {
            let (status, output) = (status.to_string(), log_tail(&home.log(), 0));
            return Err(PostgresError::new(Kind::Initialise { status, output }));
        }

        fs::remove_file(&file).map_err(PostgresError::file("remove", &file))?;
        Ok(Self { programs, account, home, password: Secret(password) })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// `initdb` or the server. It ends with the value, and by the watchdog when this process ends in any other way.
#[derive(Debug)]
struct Guarded(Child);

impl Guarded {
    fn spawn(program: &Path, args: &[String], home: &Home, account: Option<&Account>) -> Result<Self, PostgresError> {
        let path = home.log();
        let log = OpenOptions::new().append(true).open(&path).map_err(PostgresError::file("open", &path))?;
        let errors = log.try_clone().map_err(PostgresError::file("open", &path))?;
        let mut command = Command::new(SHELL);
        command.args(["-c", WATCHDOG, "outbox-testkit-watchdog"]).arg(home.path()).arg(program).args(args);
        clean_environment(&mut command);
        command.current_dir(home.path()).stdin(Stdio::piped()).stdout(log).stderr(errors);

        // It is not in the terminal's process group, because Ctrl-C must not end the server before the program has
        // drained.
        command.process_group(0);
        if let Some(account) = account {
            account.run(&mut command);
        }
        command.spawn().map(Self).map_err(PostgresError::file("run", Path::new(SHELL)))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        // Not `Child::wait`, which would close the watchdog's pipe first.
        loop {
            match self.0.try_wait()? {
                Some(status) => return Ok(status),
                None => thread::sleep(GUARD_POLL),
            }
        }
    }

    /// Ends the server as a crash would. An orderly shutdown would write a checkpoint and finish the streams, which is
    /// useless for temporary data, and a reader that does not read would delay it.
    fn end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        if !self.has_ended()
            && let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
        {
            // A failure shows below.
            let _ = kill_process(pid, Signal::QUIT);
        }
        while !self.has_ended() && Instant::now() < deadline {
            thread::sleep(GUARD_POLL);
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

/// Returns the length of a log; 0 if there is none.
fn log_length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Returns the last lines that were written to a log after `start`; for messages, so that a log that cannot be read is
/// an empty one.
fn log_tail(path: &Path, start: u64) -> String {
    let start = start.max(log_length(path).saturating_sub(MAX_TAIL));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => last_lines(&String::from_utf8_lossy(&bytes)),
        Err(_) => String::new(),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(MAX_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let text = (1..=30).map(|n| format!("line {n}\n")).collect::<String>();
        let end = last_lines(&text);
        assert!(end.starts_with("line 11\n") && end.ends_with("\nline 30"), "{end}");
        assert_eq!(last_lines("one"), "one");
    }
}
