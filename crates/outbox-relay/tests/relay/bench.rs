use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};
use outbox_pg::tokio_postgres::{Client, NoTls, connect};
use outbox_pg::{Migrations, PgOutbox, create_slot};
use outbox_relay::{Error, PoisonPolicy, Relay, RelaySettings, RelaySettingsBuilder, RelayStatus};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::UnknownTopicHandling;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::site::Site;

/// A database with an outbox and a slot, and topics of one test's own.
pub(crate) struct Bench {
    site: Site,
    pub(crate) config: ConnectorConfig,
    pub(crate) outbox: PgOutbox,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) kafka: rskafka::client::Client,
    /// Where poison rows go; without it the relay stops at one.
    pub(crate) dead_letters: Option<String>,
}

/// A relay that runs until the test ends it.
pub(crate) struct Running {
    pub(crate) status: RelayStatus,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// In the orderly way.
    pub(crate) async fn stop(self) {
        _ = self.stop.send(());
        self.ended.await.unwrap().unwrap();
    }

    /// As a crash: everything it has is gone at once.
    pub(crate) async fn kill(self) {
        self.ended.abort();
        _ = self.ended.await;
    }

    /// For one that stops by itself.
    pub(crate) async fn outcome(self) -> Result<(), Error> {
        tokio::time::timeout(Duration::from_secs(30), self.ended).await.unwrap().unwrap()
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

impl Bench {
    /// On the servers that all tests share.
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::at(Site::shared(), partitions).await
    }

    pub(crate) async fn at(site: Site, partitions: i32) -> Self {
        let layout = TableLayout::recommended();
        let name = site.name();
        let server = site.server();
        let config = ConnectorConfig::recommended(&layout)
            .with("database.hostname", server.host)
            .with("database.port", server.port.to_string())
            .with("database.user", server.user)
            .with("database.password", server.password)
            .with("database.dbname", name)
            .with("topic.prefix", name)
            .with("slot.name", name)
            .with("topic.creation.default.partitions", partitions.to_string())
            .with("topic.creation.default.replication.factor", "1")
            .with("transforms.outbox.route.topic.replacement", format!("{name}.${{routedByValue}}"));
        let pipeline = Pipeline::new(config.clone(), layout).unwrap();
        let brokers = site.brokers().to_owned();
        let bench = Self {
            topic: format!("{name}.order"),
            kafka: ClientBuilder::new(vec![brokers.clone()]).build().await.unwrap(),
            outbox: PgOutbox::new(pipeline.clone()),
            brokers,
            config,
            site,
            dead_letters: None,
        };
        let mut client = bench.client().await;
        Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
        create_slot(&client, &pipeline).await.unwrap();
        bench
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = connect(self.site.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn url(&self) -> &str {
        self.site.url()
    }

    pub(crate) fn database_name(&self) -> &str {
        self.site.name()
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(|settings| settings)
    }

    pub(crate) fn start_with(&self, adjust: impl FnOnce(RelaySettingsBuilder) -> RelaySettingsBuilder) -> Running {
        let settings = RelaySettings::builder(self.config.clone(), [&*self.brokers]);
        let settings = match &self.dead_letters {
            Some(topic) => settings.poison(PoisonPolicy::DeadLetter(topic.clone())),
            None => settings,
        };
        let relay = Relay::new(adjust(settings).build().unwrap()).unwrap();
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

    pub(crate) async fn create_topic(&self, name: &str) {
        self.kafka.controller_client().unwrap().create_topic(name, 1, 1, 10_000).await.unwrap();
    }

    /// Events in one transaction.
    pub(crate) async fn enqueue(&self, events: &[OutboxEvent]) {
        let mut client = self.client().await;
        let tx = client.transaction().await.unwrap();
        self.outbox.enqueue_all(&tx, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Events of an aggregate, numbered, each in a transaction of its own.
    pub(crate) async fn enqueue_each(&self, aggregates: i64, numbers: std::ops::Range<i64>) {
        let mut client = self.client().await;
        for number in numbers {
            let tx = client.transaction().await.unwrap();
            self.outbox.enqueue(&tx, &numbered(aggregates, number)).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// All in one transaction.
    pub(crate) async fn enqueue_at_once(&self, aggregates: i64, numbers: std::ops::Range<i64>) {
        let mut client = self.client().await;
        let events: Vec<_> = numbers.map(|number| numbered(aggregates, number)).collect();
        let tx = client.transaction().await.unwrap();
        for chunk in events.chunks(10_000) {
            self.outbox.enqueue_all(&tx, chunk).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Numbered events with so many bytes beside each number, in one transaction.
    pub(crate) async fn enqueue_fat_at_once(&self, numbers: std::ops::Range<i64>, bytes: i32) {
        fat(&self.client().await, numbers, bytes).await;
    }

    /// The same, each in a transaction of its own.
    pub(crate) async fn enqueue_fat(&self, numbers: std::ops::Range<i64>, bytes: i32) {
        let client = self.client().await;
        for number in numbers {
            fat(&client, number..number + 1, bytes).await;
        }
    }

    /// The records of the topic, as soon as there are so many.
    pub(crate) async fn records(&self, count: usize) -> Vec<Found> {
        self.records_of(&self.topic, count).await
    }

    pub(crate) async fn records_of(&self, topic: &str, count: usize) -> Vec<Found> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let records = self.read(topic).await;
            if records.len() >= count {
                return records;
            }
            assert!(Instant::now() < deadline, "{} records of {count}", records.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn read(&self, name: &str) -> Vec<Found> {
        let topics = self.kafka.list_topics().await.unwrap();
        let Some(topic) = topics.into_iter().find(|topic| topic.name == name) else { return Vec::new() };
        let mut all = Vec::new();
        for partition in topic.partitions {
            let client = self.kafka.partition_client(name, partition, UnknownTopicHandling::Retry).await.unwrap();
            let mut offset = 0;
            loop {
                let (records, high) = client.fetch_records(offset, 1..8_000_000, 100).await.unwrap();
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                let from = offset;
                for record in records.into_iter().filter(|record| record.offset >= from) {
                    offset = record.offset + 1;
                    all.push(Found {
                        partition,
                        offset: record.offset,
                        key: text(record.record.key.unwrap()),
                        value: text(record.record.value.unwrap_or_default()),
                        headers: record.record.headers.into_iter().map(|(k, v)| (k, text(v))).collect(),
                    });
                }
                if offset >= high {
                    break;
                }
            }
        }
        all
    }

    /// Every number once, and in order for each aggregate.
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

    /// Waits until nothing is left for the slot to read.
    pub(crate) async fn confirmed(&self) {
        let client = self.client().await;
        let goal: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap().get(0);
        let sql = "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2";
        let deadline = Instant::now() + Duration::from_secs(30);
        while !client.query_one(sql, &[&goal, &self.site.name()]).await.unwrap().get::<_, bool>(0) {
            assert!(Instant::now() < deadline, "the slot stays before {goal}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn remove_topic(self) {
        self.kafka.controller_client().unwrap().delete_topic(&self.topic, 10_000).await.unwrap();
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
