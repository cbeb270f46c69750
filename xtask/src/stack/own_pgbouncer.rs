use std::net::TcpStream;

use outbox_testkit::local::Account;
use postgres::Config;

use super::error::StackError;
use super::guarded::GuardedProcess;
use super::paths::{self, OwnDirectory};
use super::ports::ReservedPort;
use super::process::{Launch, base_environment};
use super::{properties, provision};

/// A PgBouncer in transaction mode between one test and its database. It ends with this value, and with the process.
#[derive(Debug)]
pub struct OwnPgBouncer {
    url: String,
    // Dropped in this order: the server ends before its port and its files are released.
    _server: GuardedProcess,
    _port: ReservedPort,
    _home: OwnDirectory,
}

impl OwnPgBouncer {
    /// Starts a PgBouncer that opens at most `connections` connections to the database of a URL.
    pub fn start(url: &str, connections: usize) -> Result<Self, StackError> {
        let program = provision::pgbouncer().ok_or_else(|| {
            StackError::new("pgbouncer is not installed: `apt-get install pgbouncer`, or else so that it is in PATH")
        })?;
        let home = OwnDirectory::create("pgbouncer")?;
        let port = ReservedPort::any()?;
        let number = port.number();
        let config = home.path().join("pgbouncer.ini");
        paths::write(&config, &settings(url, number, connections)?)?;
        // It refuses to run as root, as PostgreSQL does.
        let account = Account::for_postgres()?;
        if let Some(account) = &account {
            account.own(home.path())?;
            account.own(&config)?;
        }

        let server = GuardedProcess::new(
            "PgBouncer",
            Launch {
                program,
                args: vec!["-q".to_owned(), config.display().to_string()],
                env: base_environment(),
                directory: home.path().to_path_buf(),
                account,
                log: home.path().join("pgbouncer.log"),
            },
        );

        server.spawn()?;
        server.await_ready(|| Ok(TcpStream::connect(("127.0.0.1", number)).map(drop)?))?;
        let database = url.rsplit('/').next().unwrap_or_default();
        let url = format!("postgresql://anybody@127.0.0.1:{number}/{database}");
        Ok(Self { url, _server: server, _port: port, _home: home })
    }

    /// Returns the URL of the database through it.
    pub fn url(&self) -> &str {
        &self.url
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
        // A client is let in as the user of the line above.
        ("auth_type", "any".to_owned()),
        ("pool_mode", "transaction".to_owned()),
        ("default_pool_size", connections.to_string()),
        ("max_client_conn", "500".to_owned()),
    ]);

    Ok(format!(
        "[databases]\n* = host=127.0.0.1 port={server_port} user={user} password='{password}'\n[pgbouncer]\n{pooled}"
    ))
}
