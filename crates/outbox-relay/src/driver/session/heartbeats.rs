//! Heartbeats: a record in their topic, and a statement in the database. No other part of the relay depends on them. A
//! failure is logged, counted and retried.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::connector::HeartbeatRecord;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::inbox::{Inbox, Task};
use super::requests::new_topic;
use crate::settings::{RelaySettings, TopicCreation};
use crate::status::{HeartbeatPart, RelayStatus};
use outbox_kafka::{BatchBuilder, Cluster, Compression, Produced, Producer, RecordBody, ToProduce};
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, SqlConnection};

/// The time of the next heartbeat. It outlives sessions, so that short ones delay no heartbeat.
pub struct Heartbeats {
    record: Arc<Mutex<Schedule>>,
    action: Arc<Mutex<Schedule>>,
}

impl Heartbeats {
    /// Lets the first heartbeat be due one interval from now.
    pub fn new(settings: &RelaySettings) -> Self {
        let interval = settings.heartbeats().map(|heartbeats| heartbeats.interval()).unwrap_or_default();
        let schedule = || Arc::new(Mutex::new(Schedule::new(interval)));
        Self { record: schedule(), action: schedule() }
    }

    /// Starts the tasks of a session.
    pub fn start(
        &self,
        settings: &RelaySettings,
        cluster: &Arc<Cluster>,
        options: &ConnectOptions,
        status: &RelayStatus,
        inbox: &Inbox,
    ) -> Vec<Task> {
        let Some(heartbeats) = settings.heartbeats() else { return Vec::new() };
        let mut tasks = Vec::new();
        if let Some(record) = heartbeats.record() {
            let creation = settings.topic_creation().cloned();
            let writer = RecordWriter::new(record.clone(), Arc::clone(cluster), creation, status.clone());
            tasks.push(inbox.spawn(repeat(Arc::clone(&self.record), writer, status.clone())));
        }
        if let Some(query) = heartbeats.action_query() {
            let runner = StatementRunner::new(options.clone(), query.to_owned());
            tasks.push(inbox.spawn(repeat(Arc::clone(&self.action), runner, status.clone())));
        }
        tasks
    }
}

/// The time at which a part of the next heartbeat is due, and whether the last attempt failed.
pub struct Schedule {
    interval: Duration,
    due: Instant,
    backoff: Backoff,
    is_failing: bool,
}

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The shortest and the longest pause that pauses grow to. Between them, it is the interval, so that a statement that
/// always fails does not fill the server's log.
const LONGEST_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// A part of a heartbeat.
pub trait Part {
    type Error: StdError + Send + 'static;

    const NAME: HeartbeatPart;

    /// Writes it once.
    fn write(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Repeats a part: one interval after each success, and with growing pauses after failures.
pub async fn repeat<P: Part>(schedule: Arc<Mutex<Schedule>>, mut part: P, status: RelayStatus) {
    // The task of the previous session may be about to end.
    let mut schedule = schedule.lock().await;
    loop {
        sleep_until(schedule.due).await;
        match part.write().await {
            Ok(()) => schedule.succeeded(P::NAME, &status),
            Err(error) => {
                schedule.failed(P::NAME, &error, &status);
                let pause = schedule.backoff.delay();
                sleep(pause).await;
            }
        }
    }
}

impl Schedule {
    pub fn new(interval: Duration) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, interval.clamp(LONGEST_PAUSE.0, LONGEST_PAUSE.1));
        Self { interval, due: Instant::now() + interval, backoff, is_failing: false }
    }

    fn succeeded(&mut self, part: HeartbeatPart, status: &RelayStatus) {
        self.due = Instant::now() + self.interval;
        self.backoff.reset();
        status.heartbeat_succeeded(part);
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(target: "outbox.relay", part = part.name(), "heartbeat succeeds again");
        }
    }

    /// Logs the first failure after a success.
    fn failed(&mut self, part: HeartbeatPart, error: &(dyn StdError + 'static), status: &RelayStatus) {
        status.heartbeat_failed(part);
        let (part, error) = (part.name(), ErrorChain::new(error));
        match std::mem::replace(&mut self.is_failing, true) {
            false => tracing::warn!(target: "outbox.relay", part, %error, "heartbeat failed: retrying"),
            true => tracing::debug!(target: "outbox.relay", part, %error, "heartbeat failed again: retrying"),
        }
    }
}

/// Writes the records of heartbeats.
///
/// Heartbeats are independent: a batch without an answer is not sent again, and the next attempt has another time. So
/// they need no producer id, and no privilege but to write.
pub struct RecordWriter {
    record: HeartbeatRecord,
    cluster: Arc<Cluster>,
    creation: Option<TopicCreation>,
    status: RelayStatus,
}

/// No producer id, and therefore no sequence (Kafka, "Record Batch").
const NOT_IDEMPOTENT: Producer = Producer { id: -1, epoch: -1, sequence: -1 };
/// The capacity of a batch in bytes, which is more than a heartbeat has.
const CAPACITY: usize = 1024;

impl RecordWriter {
    pub fn new(
        record: HeartbeatRecord,
        cluster: Arc<Cluster>,
        creation: Option<TopicCreation>,
        status: RelayStatus,
    ) -> Self {
        Self { record, cluster, creation, status }
    }

    /// Writes a heartbeat of now. Creates a missing topic.
    async fn write_record(&self) -> Result<(), outbox_kafka::Error> {
        let topic = match self.cluster.topic(self.record.topic()).await? {
            Some(topic) => topic,
            None => self.cluster.create_topic(&new_topic(self.record.topic(), self.creation.as_ref())).await?,
        };
        let record = self.record.at(outbox_net::wall_clock());
        let partition = record.partition.unwrap_or_default();
        let timestamp = record.timestamp.unwrap_or_default();
        let record = record.borrowed();
        let body = RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers);

        let mut builder = BatchBuilder::new(Compression::None, CAPACITY);
        builder.append(timestamp, &body);
        let Ok(Some(batch)) = builder.finish(NOT_IDEMPOTENT) else { return Ok(()) };
        match self.cluster.produce(ToProduce { topic, partition, batch }).await {
            Produced::Rejected { error, .. } | Produced::Retriable(error) | Produced::Unknown(error) => Err(error),
            // The other outcomes concern producers with an id.
            _ => Ok(()),
        }
    }
}

impl Part for RecordWriter {
    type Error = outbox_kafka::Error;

    const NAME: HeartbeatPart = HeartbeatPart::Record;

    async fn write(&mut self) -> Result<(), outbox_kafka::Error> {
        self.write_record().await.inspect_err(|error| self.status.kafka_failed(error))
    }
}

/// Executes the statement of heartbeats, over a connection that it keeps.
pub struct StatementRunner {
    options: ConnectOptions,
    query: String,
    connection: Option<SqlConnection>,
}

impl StatementRunner {
    pub fn new(options: ConnectOptions, query: String) -> Self {
        Self { options, query, connection: None }
    }
}

impl Part for StatementRunner {
    type Error = outbox_wal::Error;

    const NAME: HeartbeatPart = HeartbeatPart::ActionQuery;

    /// Runs the statement. If the connection was lost since the last heartbeat, it connects again.
    async fn write(&mut self) -> Result<(), outbox_wal::Error> {
        if let Some(mut kept) = self.connection.take() {
            match kept.execute(&self.query).await {
                Ok(()) => {
                    self.connection = Some(kept);
                    return Ok(());
                }
                Err(error) if error.is_connection_lost() => {}
                Err(error) => return Err(error),
            }
        }

        let mut connection = SqlConnection::open(&self.options).await?;
        connection.execute(&self.query).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
