use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Config;

use super::account::Account;
use super::error::StackError;
use super::own_kafka::WATCHDOG;
use super::provision;
use super::test_database::TestDatabase;
use super::{log_tail, paths, ports, properties};

/// A PgBouncer of a test's own, before a database of a test, in transaction mode. It ends with this value, or with the
/// process.
#[derive(Debug)]
pub struct OwnPgBouncer {
    server: Child,
    home: PathBuf,
    url: String,
}

const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

impl TestDatabase {
    /// Starts a PgBouncer that opens so many connections to the server at most.
    pub fn pgbouncer(&self, connections: usize) -> Result<OwnPgBouncer, StackError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let program = provision::pgbouncer().ok_or_else(|| {
            StackError::new("pgbouncer is not installed: `apt-get install pgbouncer`, or else so that it is in PATH")
        })?;
        let home = std::env::temp_dir().join(format!("outbox-pgbouncer-{}-{number}", std::process::id()));
        paths::create(&home)?;
        let port = ports::free_port()?;
        let (config, log) = (home.join("pgbouncer.ini"), home.join("pgbouncer.log"));
        paths::write(&config, &settings(self.url(), port, connections)?)?;
        let open = fs::File::create(&log).map_err(StackError::file("create", &log))?;
        let errors = open.try_clone().map_err(StackError::file("write", &log))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(program).arg("-q").arg(&config);
        command.current_dir(&home).stdin(Stdio::piped()).stdout(open).stderr(errors);
        // It refuses to run as root, as PostgreSQL does.
        if let Some(account) = Account::for_postgres()? {
            account.own(&home)?;
            account.own(&config)?;
            account.run(&mut command);
        }
        let server = command.spawn().map_err(|error| StackError::caused("cannot start pgbouncer", error))?;
        let url = format!("postgresql://anybody@127.0.0.1:{port}/{}", self.name());
        let pgbouncer = OwnPgBouncer { server, home, url };
        await_ready(port, &log)?;
        Ok(pgbouncer)
    }
}

impl OwnPgBouncer {
    /// The connection through it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for OwnPgBouncer {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn settings(url: &str, port: u16, connections: usize) -> Result<String, StackError> {
    let server: Config = url.parse().map_err(|error| StackError::caused("cannot read the database's URL", error))?;
    let password = String::from_utf8_lossy(server.get_password().unwrap_or_default());
    let (server_port, user) =
        (server.get_ports().first().copied().unwrap_or(5432), server.get_user().unwrap_or_default());
    let pooled = properties::render(&[
        ("listen_addr", "127.0.0.1".to_owned()),
        ("listen_port", port.to_string()),
        ("unix_socket_dir", String::new()),
        // Whoever asks is let in as the user of the line above.
        ("auth_type", "any".to_owned()),
        ("pool_mode", "transaction".to_owned()),
        ("default_pool_size", connections.to_string()),
        ("max_client_conn", "500".to_owned()),
    ]);
    Ok(format!(
        "[databases]\n* = host=127.0.0.1 port={server_port} user={user} password='{password}'\n[pgbouncer]\n{pooled}"
    ))
}

fn await_ready(port: u16, log: &Path) -> Result<(), StackError> {
    let deadline = Instant::now() + START;
    while let Err(reason) = TcpStream::connect(("127.0.0.1", port)) {
        if Instant::now() > deadline {
            let text = log_tail(log, 0, 30);
            return Err(StackError::caused(format!("pgbouncer does not answer. Its log:\n{text}"), reason));
        }
        thread::sleep(POLL);
    }
    Ok(())
}
