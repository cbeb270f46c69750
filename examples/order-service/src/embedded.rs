use std::error::Error;

use outbox_core::Pipeline;
use outbox_relay::{Relay, RelaySettings};
use outbox_testkit::{Broker, Postgres};
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
    let deployed = pipeline(settings.connector.as_deref(), settings.outbox)?;
    let config = deployed.config().clone().with_database_url(database.url())?;
    let pipeline = Pipeline::new(config.clone(), deployed.layout().clone())?;
    let relayed = RelaySettings::builder(config, [broker.address()]).build()?;

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
