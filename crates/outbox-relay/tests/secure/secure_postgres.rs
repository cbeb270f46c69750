use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::time::Duration;

use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};
use outbox_pg::tokio_postgres::{Client, NoTls, connect};
use outbox_pg::{Migrations, PgOutbox, create_slot};
use outbox_relay::{Error, KafkaSecurity, Relay, RelaySettings, RelayStatus};
use outbox_testkit::{Database, Postgres};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::certificates::{Authority, Signed};

pub(crate) const PASSWORD: &str = "hunter2-of-postgres";

/// A server with an outbox, which lets the relay's role in by TLS only.
pub(crate) struct SecurePostgres {
    postgres: Postgres,
    _database: Database,
    client: Client,
    outbox: PgOutbox,
    pub(crate) config: ConnectorConfig,
    pub(crate) authority: Authority,
}

/// A relay that runs until the test ends it.
pub(crate) struct Running {
    pub(crate) status: RelayStatus,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

impl SecurePostgres {
    /// Starts a PostgreSQL with TLS. Its certificate is for `localhost` only.
    pub(crate) async fn start() -> Self {
        let postgres = Postgres::start().await.unwrap();
        let database = postgres.database().await.unwrap();
        let (mut client, connection) = connect(database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);

        let layout = TableLayout::recommended();
        let name: String = client.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
        let config = ConnectorConfig::recommended(&layout)
            .with("database.hostname", "localhost")
            .with("database.port", postgres.address().port().to_string())
            .with("database.user", "relay")
            .with("database.password", PASSWORD)
            .with("database.dbname", name);
        let pipeline = Pipeline::new(config.clone(), layout).unwrap();
        Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
        create_slot(&client, &pipeline).await.unwrap();

        let role = format!(
            "CREATE ROLE relay LOGIN REPLICATION PASSWORD '{PASSWORD}';
             CREATE ROLE certified LOGIN REPLICATION;
             GRANT USAGE ON SCHEMA outbox TO relay, certified;
             GRANT SELECT ON outbox.outbox_message TO relay, certified"
        );
        client.batch_execute(&role).await.unwrap();
        let authority = Authority::new("the right authority");
        let secure = Self { postgres, _database: database, client, outbox: PgOutbox::new(pipeline), config, authority };
        secure.demand_tls().await;
        secure
    }

    async fn demand_tls(&self) {
        let directory: String = self.client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
        let directory = PathBuf::from(directory);
        let owner = std::fs::metadata(&directory).unwrap();
        let Signed { certificate, key } = self.authority.sign("localhost");
        let access = "hostssl all relay 127.0.0.1/32 scram-sha-256\n\
                      hostssl all certified 127.0.0.1/32 cert\n\
                      host all relay,certified all reject\n\
                      host all all 127.0.0.1/32 scram-sha-256\n";
        let authority = self.authority.certificate();
        let files =
            [("tls.crt", &*certificate), ("tls.key", &*key), ("tls-ca.crt", &*authority), ("pg_hba.conf", access)];

        for (name, text) in files {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }

        for (name, value) in
            [("ssl_cert_file", "tls.crt"), ("ssl_key_file", "tls.key"), ("ssl_ca_file", "tls-ca.crt"), ("ssl", "on")]
        {
            self.client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
        }
        self.client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);

        // A session that began before the reload shows the new value once it has heard of it.
        while self.client.query_one("SHOW ssl", &[]).await.unwrap().get::<_, String>(0) != "on" {
            assert!(Instant::now() < deadline, "TLS stays off");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn relay(
        &self,
        config: ConnectorConfig,
        brokers: &str,
        security: KafkaSecurity,
    ) -> Result<Relay, Error> {
        let settings = RelaySettings::builder(config, [brokers]).build().unwrap();
        Ok(Relay::new(settings)?.kafka_security(security))
    }

    /// Changes the password of the relay's role, and ends its connections.
    pub(crate) async fn change_password(&self, password: &str) {
        let sql = format!("ALTER ROLE relay PASSWORD '{password}'");
        self.client.batch_execute(&sql).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'relay'";
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn enqueue(&mut self) {
        let event = OutboxEvent::builder("order", "agg-0", "Made").json("1").build().unwrap();
        let tx = self.client.transaction().await.unwrap();
        self.outbox.enqueue(&tx, &event).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Returns how many of the relay's connections are encrypted, and how many are not.
    pub(crate) async fn encrypted(&self) -> (i64, i64) {
        let sql = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl)
                   FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.usename IN ('relay', 'certified')";
        let row = self.client.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    pub(crate) fn port(&self) -> u16 {
        self.postgres.address().port()
    }
}

impl Running {
    pub(crate) fn start(relay: Relay) -> Self {
        let status = relay.status();
        let (stop, stopped) = oneshot::channel::<()>();
        Self { status, stop, ended: tokio::spawn(relay.run(async { _ = stopped.await })) }
    }

    /// Waits until the broker has acknowledged that many events.
    pub(crate) async fn written(&self, events: u64) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let line = format!("outbox_relay_events_total{{topic=\"outbox.events.order\"}} {events}\n");
        while !self.status.prometheus_text().contains(&line) {
            assert!(Instant::now() < deadline && !self.ended.is_finished(), "{}", self.status.readiness());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn stop(self) {
        _ = self.stop.send(());
        self.ended.await.unwrap().unwrap();
    }

    pub(crate) async fn outcome(self) -> Result<(), Error> {
        tokio::time::timeout(Duration::from_secs(120), self.ended).await.unwrap().unwrap()
    }
}

/// Returns an error with all that lies below it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let below = error.source().map(chain).unwrap_or_default();
    format!("{error}\n{below}")
}
