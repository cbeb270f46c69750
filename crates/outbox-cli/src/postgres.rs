use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use outbox_core::ConnectorConfig;
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Runtime};
use outbox_net::{PostgresTls, Secret};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use crate::exit::Failure;
use crate::prompt::PasswordPlaces;

const VARIABLE: &str = "DATABASE_URL";
/// The shortest time after which the kernel probes a silent server.
const SHORTEST_PROBE: Duration = Duration::from_secs(1);

/// The address of PostgreSQL.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "PostgreSQL")]
pub(crate) struct DatabaseOptions {
    /// The database, as postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full, without a password [env: DATABASE_URL]
    ///
    /// The URL in the variable may have a password. Understood are sslmode, sslrootcert, sslcert and sslkey.
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,

    /// Read the role's password from this file; without a file or a command it is in PGPASSWORD, or asked for
    #[arg(long, env = "PGPASSWORD_FILE", value_name = "FILE", global = true)]
    database_password_file: Option<PathBuf>,

    /// Run this command line with sh to get the role's password
    #[arg(
        long,
        env = "POSTGRES_PASSWORD_COMMAND",
        value_name = "COMMAND",
        global = true,
        conflicts_with = "database_password_file"
    )]
    database_password_command: Option<String>,

    /// The password, after it was read or typed once.
    #[arg(skip)]
    password: Arc<OnceLock<Option<Secret>>>,
}

impl DatabaseOptions {
    /// Connects to the database. The server, a lock in it and the network have the time of `limit`.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<Client, Failure> {
        self.session(limit).await.map(|(client, ..)| client)
    }

    /// Returns a pool of connections to a server that has answered.
    pub(crate) async fn pool(&self, limit: Duration) -> Result<Pool, Failure> {
        let (_, config, tls) = self.session(limit).await?;
        let pool = Pool::builder(Manager::new(config, tls)).max_size(2).runtime(Runtime::Tokio1);
        let pool = pool.create_timeout(Some(limit)).wait_timeout(Some(limit)).build();
        pool.map_err(|e| Failure::usage("no connections can be made").caused_by(&e))
    }

    /// Connects, and returns the connection with the settings that it uses.
    async fn session(&self, limit: Duration) -> Result<(Client, Config, PostgresTls), Failure> {
        let (config, tls) = self.target(limit).await?;
        let failure = |e: &(dyn std::error::Error + 'static)| Failure::server("PostgreSQL cannot be used").caused_by(e);
        let mut bounded = config.clone();
        // This limit is longer than those of this program, because the program's errors say more.
        let lock = limit.saturating_add(Duration::from_secs(1));
        bounded.options(format!("-c lock_timeout={}", milliseconds(lock)));
        let connect = async |config: &Config| tokio::time::timeout(limit, config.connect(tls.clone())).await;

        let (connected, config) = match connect(&bounded).await.map_err(|e| failure(&e))? {
            // A pooler rejects startup settings. Settings made later would remain in sessions of other clients.
            Err(e) if e.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
                (connect(&config).await.map_err(|e| failure(&e))?, config)
            }
            connected => (connected, bounded),
        };
        let (client, connection) = connected.map_err(|e| failure(&e))?;
        tokio::spawn(connection);
        Ok((client, config, tls))
    }

    /// Puts the connection into a connector's configuration, in place of the one that it has. The password is separate.
    pub(crate) async fn place(&self, config: &ConnectorConfig) -> Result<(ConnectorConfig, Secret), Failure> {
        let parts = self.parts()?;
        let password = self.password(&parts).await?.unwrap_or_else(|| Secret::new(""));
        let keys = parts.iter().filter(|(key, _)| *key != "database.password");
        Ok((
            keys.fold(config.clone().without("database.password"), |config, (key, value)| config.with(key, value)),
            password,
        ))
    }

    /// Returns the parts of the URL, under the names that a connector has for them.
    fn parts(&self) -> Result<ConnectorConfig, Failure> {
        let (url, is_on_command_line) = match &self.database_url {
            Some(url) => (url.clone(), true),
            None => match std::env::var(VARIABLE) {
                Ok(url) => (url, false),
                Err(_) => {
                    return Err(Failure::usage(
                        "no database is named: set DATABASE_URL, or give --database-url postgres://USER@HOST:PORT/DATABASE",
                    ));
                }
            },
        };
        let parts = ConnectorConfig::from_json("{}")
            .and_then(|empty| empty.with_database_url(&url))
            .map_err(|e| Failure::usage("the database's URL cannot be used").caused_by(&e))?;

        if is_on_command_line && parts.get("database.password").is_some() {
            return Err(Failure::usage(
                "every user of this machine can read a password in the command line: leave it out of --database-url, and \
                 set DATABASE_URL or PGPASSWORD, or give --database-password-file or --database-password-command",
            ));
        }
        Ok(parts)
    }

    /// Returns the password. It is read or asked for once, however many connections need it.
    async fn password(&self, parts: &ConnectorConfig) -> Result<Option<Secret>, Failure> {
        if let Some(known) = self.password.get() {
            return Ok(known.clone());
        }
        let password = self.read_password(parts).await?;
        Ok(self.password.get_or_init(|| password).clone())
    }

    async fn read_password(&self, parts: &ConnectorConfig) -> Result<Option<Secret>, Failure> {
        if let Some(password) = parts.get("database.password") {
            return Ok(Some(Secret::new(password)));
        }
        let text = |key: &str| parts.get(key).unwrap_or_default();
        let places = PasswordPlaces {
            whose: &format!("{} at {}", text("database.user"), text("database.hostname")),
            file: self.database_password_file.as_deref(),
            command: self.database_password_command.as_deref(),
            variable: "PGPASSWORD",
        };
        places.read_or_ask().await
    }

    async fn target(&self, limit: Duration) -> Result<(Config, PostgresTls), Failure> {
        let parts = self.parts()?;
        let text = |key: &str| parts.get(&format!("database.{key}")).unwrap_or_default();
        let port = text("port").parse().map_err(|_| Failure::usage("the port of the database is no number"))?;
        let mut config = Config::new();
        config.host(text("hostname")).port(port).user(text("user")).dbname(text("dbname"));
        config.application_name("outbox").connect_timeout(limit).tcp_user_timeout(limit);
        let probe = (limit / 4).max(SHORTEST_PROBE);
        config.keepalives_idle(probe).keepalives_interval(probe).keepalives_retries(3);
        if let Some(password) = self.password(&parts).await? {
            config.password(password.expose());
        }

        let (mode, tls) = PostgresTls::settings(|name| parts.get(&format!("database.{name}")))
            .map_err(|e| Failure::usage("the TLS settings of the database's URL cannot be used").caused_by(&e))?;
        config.ssl_mode(mode);
        let tls = PostgresTls::new(&tls).await;
        let tls = tls.map_err(|e| Failure::usage("the certificates for PostgreSQL cannot be used").caused_by(&e))?;
        Ok((config, tls))
    }
}

/// Returns a time as a setting of PostgreSQL, which has at most 24 days.
fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// Lets PostgreSQL cancel the statement of this connection after this program has ended. Otherwise, a slot that is
/// being decoded or created stays in use until the statement ends.
pub(crate) async fn end_with_program(client: &Client) {
    // PostgreSQL has the setting since version 14, and not on every system.
    let sql = "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'";
    _ = client.execute(sql, &[]).await;
}
