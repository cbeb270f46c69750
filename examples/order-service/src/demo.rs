use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::Pipeline;
use outbox_relay::{Relay, RelaySettings, RelayStatus};
use outbox_testkit::{Broker, Postgres};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::serve::{Service, listen};
use crate::settings::{OutboxForm, Settings};
use crate::switches::Switches;
use crate::{check, pipeline, setup};

/// The partitions of a topic.
const PARTITIONS: i32 = 3;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs the service with its own servers: a throw-away PostgreSQL, a broker that speaks Kafka's protocol, and the relay
/// between them. Nothing outlives the process.
///
/// # Errors
/// A server could not be started, failed, or ended by itself.
pub async fn serve_demo(settings: &Settings, stop: CancellationToken) -> Outcome {
    // An address that is in use is reported before servers are started.
    let listener = listen(settings).await?;
    tracing::warn!(
        "demonstration: starting a throw-away PostgreSQL, a broker and the relay; all data ends with this process"
    );
    let broker = Broker::builder().default_partitions(PARTITIONS).start().await?;
    // The page shows when a transaction was committed. The limit of the WAL is the one that the health indicators advise:
    // rows of a table can be published again, messages cannot.
    let wal_limit = match settings.outbox {
        OutboxForm::Table => "1GB",
        OutboxForm::Message => "-1",
    };
    let postgres =
        Postgres::builder().setting("track_commit_timestamp", "on").setting("max_slot_wal_keep_size", wal_limit);
    let postgres = postgres.start().await?;
    let database = postgres.database().await?;

    let deployed = pipeline(settings.connector.as_deref(), settings.outbox)?;
    let config = deployed.config().clone().with_database_url(database.url())?;
    let pipeline = Pipeline::new(config.clone(), deployed.layout().clone())?;
    // The relay creates the topic with the first event, and the consumer finds it within a quarter of a second.
    let relayed = RelaySettings::builder(config, [broker.address()]).build()?;

    let pool = Database::new(database.url())?.pool().await?;
    let mut client = pool.get().await?;
    setup(&mut client, &pipeline).await?;
    check(&client, &pipeline, settings.mode).await?;
    drop(client);
    tracing::info!(postgres = %postgres.address(), broker = broker.address(), "demonstration servers started");

    let switches = Switches::default();
    let mut demo =
        Demo { relay: RunningRelay::start(&relayed)?, broker, settings: relayed, switches: switches.clone() };
    let settings =
        Settings { kafka_brokers: Some(vec![demo.broker.address()]), kafka_config: None, ..settings.clone() };
    let status = Arc::clone(&demo.relay.status);
    let relay_metrics = move || status.lock().unwrap_or_else(PoisonError::into_inner).prometheus_text();
    let service = Service::new(&settings, pipeline, pool).demo(switches, relay_metrics);
    let served = tokio::select! {
        served = service.run_on(listener, stop) => served,
        failed = demo.obey() => failed,
    };
    // The relay ends last, so that what was committed at shutdown is still written.
    demo.broker.faults().thaw();
    served.and(demo.relay.stop().await)
}

/// The servers that the switches stop and start.
struct Demo {
    broker: Broker,
    relay: RunningRelay,
    settings: RelaySettings,
    switches: Switches,
}

impl Demo {
    /// Stops and starts what the switches say, until the relay ends by itself.
    async fn obey(&mut self) -> Outcome {
        let mut broker_runs = self.switches.broker.subscribe();
        let mut relay_runs = self.switches.relay.subscribe();
        loop {
            tokio::select! {
                _ = broker_runs.changed() => {
                    let faults = self.broker.faults();
                    if *broker_runs.borrow_and_update() { faults.thaw() } else { faults.freeze() }
                }
                _ = relay_runs.changed() => {
                    let runs = *relay_runs.borrow_and_update();
                    if runs { self.relay.restart(&self.settings)? } else { self.relay.kill().await }
                }
                ended = self.relay.ended() => return ended.and(Err("the relay ended by itself".into())),
            }
        }
    }
}

/// The relay as a task. The status is that of the newest one.
struct RunningRelay {
    task: Option<JoinHandle<Result<(), outbox_relay::Error>>>,
    stop: CancellationToken,
    status: Arc<Mutex<RelayStatus>>,
}

impl RunningRelay {
    fn start(settings: &RelaySettings) -> Result<Self, outbox_relay::Error> {
        let (relay, stop) = (Relay::new(settings.clone())?, CancellationToken::new());
        let status = Arc::new(Mutex::new(relay.status()));
        let task = tokio::spawn(relay.run(stop.clone().cancelled_owned()));
        Ok(Self { task: Some(task), stop, status })
    }

    /// Starts it again, if it was killed.
    fn restart(&mut self, settings: &RelaySettings) -> Result<(), outbox_relay::Error> {
        if self.task.is_none() {
            let relay = Relay::new(settings.clone())?;
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = relay.status();
            self.task = Some(tokio::spawn(relay.run(self.stop.clone().cancelled_owned())));
        }
        Ok(())
    }

    /// Ends it as a crash does: nothing is finished or confirmed.
    async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            _ = task.await;
        }
    }

    /// Ends it after it has written what was committed.
    async fn stop(mut self) -> Outcome {
        self.stop.cancel();
        match self.task.take() {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }

    /// Waits until it ends by itself.
    async fn ended(&mut self) -> Outcome {
        match &mut self.task {
            Some(task) => {
                let ended = task.await;
                self.task = None;
                Ok(ended??)
            }
            None => std::future::pending().await,
        }
    }
}
