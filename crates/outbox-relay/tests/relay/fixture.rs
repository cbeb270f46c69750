use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::time::Duration;

use outbox_core::{ConnectorConfig, OutboxEvent};
use outbox_pg::PgOutbox;
use outbox_pg::tokio_postgres::Client;
use outbox_relay::{Error, PoisonPolicy, Relay, RelaySettings, RelaySettingsBuilder, RelayStatus};
use outbox_test_support::{StoredRecord, TestEnv, TestEnvBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A [`TestEnv`] with a slot, and the settings of the relays that read it.
pub(crate) struct RelayEnv {
    pub(crate) env: TestEnv,
    pub(crate) config: ConnectorConfig,
    pub(crate) outbox: PgOutbox,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    /// The topic for poison rows; without it the relay stops at one.
    pub(crate) dead_letters: Option<String>,
}

impl Deref for RelayEnv {
    type Target = TestEnv;

    fn deref(&self) -> &TestEnv {
        &self.env
    }
}

/// A relay that runs until the test ends it.
pub(crate) struct Running {
    pub(crate) status: RelayStatus,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Stops the relay in an orderly way.
    pub(crate) async fn stop(self) {
        _ = self.stop.send(());
        self.ended.await.unwrap().unwrap();
    }

    /// Kills the relay, as a crash does: everything it has is gone at once.
    pub(crate) async fn kill(self) {
        self.ended.abort();
        _ = self.ended.await;
    }

    /// Waits for the outcome of a relay that stops by itself.
    pub(crate) async fn outcome(self) -> Result<(), Error> {
        tokio::time::timeout(Duration::from_secs(120), self.ended).await.unwrap().unwrap()
    }
}

/// A record as it was read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Found {
    fn of(found: &StoredRecord) -> Self {
        let headers = found.record.headers.iter();
        Self {
            partition: found.partition,
            offset: found.offset,
            key: found.key().to_owned(),
            value: found.value().to_owned(),
            headers: headers.map(|(name, _)| (name.clone(), found.header(name).unwrap().to_owned())).collect(),
        }
    }
}

impl RelayEnv {
    /// Creates a fixture on the servers that all tests share.
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::at(TestEnv::builder().kafka(), partitions).await
    }

    pub(crate) async fn at(builder: TestEnvBuilder, partitions: i32) -> Self {
        let env = builder.slot().partitions(partitions).build().await;
        Self {
            // Heartbeats have tests of their own.
            config: env.config().clone().with("heartbeat.interval.ms", "0"),
            outbox: env.outbox(),
            brokers: env.brokers().to_owned(),
            topic: env.topic().to_owned(),
            env,
            dead_letters: None,
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(|settings| settings)
    }

    pub(crate) fn start_with(&self, adjust: impl FnOnce(RelaySettingsBuilder) -> RelaySettingsBuilder) -> Running {
        let relay = self.relay(adjust);
        let status = relay.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move {
            let outcome = relay.run(async { _ = stopped.await }).await;
            if let Err(error) = &outcome {
                eprintln!("the relay has stopped: {error:?}");
            }
            outcome
        });
        Running { status, stop, ended }
    }

    /// Returns a relay that does not run yet.
    pub(crate) fn relay(&self, adjust: impl FnOnce(RelaySettingsBuilder) -> RelaySettingsBuilder) -> Relay {
        let settings = RelaySettings::builder(self.config.clone(), [&*self.brokers]);
        let settings = match &self.dead_letters {
            Some(topic) => settings.poison(PoisonPolicy::DeadLetter(topic.clone())),
            None => settings,
        };
        Relay::new(adjust(settings).build().unwrap()).unwrap()
    }

    pub(crate) async fn create_topic(&self, name: &str) {
        self.env.create_topic(name, 1).await;
    }

    /// Enqueues numbered events of an aggregate, each in its own transaction.
    pub(crate) async fn enqueue_each(&self, aggregates: i64, numbers: std::ops::Range<i64>) {
        let mut client = self.client().await;
        for number in numbers {
            let tx = client.transaction().await.unwrap();
            self.outbox.enqueue(&tx, &numbered(aggregates, number)).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Enqueues events in one transaction.
    pub(crate) async fn enqueue_at_once(&self, aggregates: i64, numbers: std::ops::Range<i64>) {
        let mut client = self.client().await;
        let events: Vec<_> = numbers.map(|number| numbered(aggregates, number)).collect();
        let tx = client.transaction().await.unwrap();
        for chunk in events.chunks(10_000) {
            self.outbox.enqueue_all(&tx, chunk).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Enqueues numbered events with this many bytes next to each number, in one transaction.
    pub(crate) async fn enqueue_fat_at_once(&self, numbers: std::ops::Range<i64>, bytes: i32) {
        fat(&self.client().await, numbers, bytes).await;
    }

    /// Enqueues the same events, each in its own transaction.
    pub(crate) async fn enqueue_fat(&self, numbers: std::ops::Range<i64>, bytes: i32) {
        let client = self.client().await;
        for number in numbers {
            fat(&client, number..number + 1, bytes).await;
        }
    }

    /// Returns the records of the topic, as soon as there are that many.
    pub(crate) async fn records(&self, count: usize) -> Vec<Found> {
        self.records_of(&self.topic, count).await
    }

    pub(crate) async fn records_of(&self, topic: &str, count: usize) -> Vec<Found> {
        self.env.records(topic, count).await.iter().map(Found::of).collect()
    }

    pub(crate) async fn read(&self, topic: &str) -> Vec<Found> {
        self.env.read(topic).await.iter().map(Found::of).collect()
    }

    /// Checks that every number arrived once, and in order for each aggregate.
    pub(crate) fn check(&self, records: &[Found], count: i64) {
        self.check_against(records, &(0..count).collect());
    }

    pub(crate) fn check_against(&self, records: &[Found], expected: &BTreeSet<i64>) {
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        let mut numbers = Vec::new();
        for record in records {
            let number: i64 = record.value.trim().parse().unwrap();
            let before = last.insert(&record.key, number);
            if let Some(before) = before.filter(|before| *before >= number) {
                let near = record.offset - 3..=record.offset + 3;
                let near: Vec<_> = records
                    .iter()
                    .filter(|other| other.partition == record.partition && near.contains(&other.offset))
                    .collect();
                panic!("{before} before {number} of {}: {near:#?}", record.key);
            }
            numbers.push(number);
        }

        numbers.sort_unstable();
        let doubled: Vec<_> = numbers.windows(2).filter(|pair| pair[0] == pair[1]).take(5).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");

        let lost: Vec<_> = expected.iter().filter(|number| numbers.binary_search(number).is_err()).take(5).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(numbers.len(), expected.len(), "records of events that were never committed");
    }
}

pub(crate) fn numbered(aggregates: i64, number: i64) -> OutboxEvent {
    let key = format!("agg-{}", number % aggregates);
    OutboxEvent::builder("order", key, "Numbered").json(number.to_string()).build().unwrap()
}

async fn fat(client: &Client, numbers: std::ops::Range<i64>, bytes: i32) {
    let sql = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
        SELECT gen_random_uuid(), 'order', 'agg-' || n % 5, 'Fat', (repeat(' ', $3) || n)::json
        FROM generate_series($1::bigint, $2::bigint) n";
    client.execute(sql, &[&numbers.start, &(numbers.end - 1), &bytes]).await.unwrap();
}
