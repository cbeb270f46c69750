use std::error::Error;

use outbox_core::ConnectorConfig;
use outbox_relay::{Relay, RelaySettings};
use outbox_testkit::{Broker, Postgres};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::settings::Settings;
use crate::{check, pipeline, serve, setup};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs the service with all that it needs in this process or started by it: a throw-away PostgreSQL, a broker that
/// speaks Kafka's protocol, and the relay between them. Nothing outlives the process.
///
/// # Errors
/// A part could not be had or started, failed, or ended by itself.
pub async fn serve_embedded(settings: &Settings, stop: CancellationToken) -> Outcome {
    tracing::info!("DATABASE_URL is not set: starting a throw-away PostgreSQL, a broker and the relay here");
    let broker = Broker::builder().default_partitions(3).start().await?;
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let deployed = pipeline(settings.connector.as_deref())?;
    let relayed = RelaySettings::builder(connector(deployed.config(), database.url())?, [broker.address()]).build()?;
    let pipeline = relayed.pipeline().clone();

    let pool = Database::new(database.url())?.pool()?;
    let mut client = pool.get().await?;
    setup(&mut client, &pipeline).await?;
    check(&client, &pipeline, settings.mode).await?;
    drop(client);
    tracing::info!(postgres = %postgres.address(), broker = broker.address(), "embedded; all of it goes with this process");

    // The relay ends last, so that what was committed at shutdown is still written.
    let end = CancellationToken::new();
    let mut relaying = tokio::spawn(Relay::new(relayed)?.run(end.clone().cancelled_owned()));
    let settings = Settings { kafka_brokers: Some(vec![broker.address()]), kafka_config: None, ..settings.clone() };
    let served = tokio::select! {
        served = serve(&settings, pipeline, pool, stop) => served,
        ended = &mut relaying => return ended?.map_err(Into::into).and(Err("the relay ended by itself".into())),
    };
    end.cancel();
    relaying.await??;
    served
}

/// The connector's configuration, for another database.
fn connector(config: &ConnectorConfig, url: &str) -> Result<ConnectorConfig, Box<dyn Error + Send + Sync>> {
    let database: Config = url.parse()?;
    let host = match database.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => return Err("the embedded database listens on no address".into()),
    };
    let port = database.get_ports().first().copied().unwrap_or(5432);
    Ok(config
        .clone()
        .with("database.hostname", host)
        .with("database.port", port.to_string())
        .with("database.user", database.get_user().unwrap_or_default())
        .with("database.password", String::from_utf8_lossy(database.get_password().unwrap_or_default()))
        .with("database.dbname", database.get_dbname().unwrap_or_default()))
}
