use std::collections::BTreeMap;
use std::time::Duration;

use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::Client;
use outbox_kafka_consumer::outbox_kafka::Security;
use outbox_kafka_consumer::{Consumer, Error, HandlerResult, Reader, Received, with};
use outbox_test_support::{TestEnv, connect, eventually};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::load::Written;
use crate::scene::PARTITIONS;

const READERS: [(&str, Reader); 2] = [("rskafka", Reader::Rskafka), ("native", Reader::Native)];

/// A reader's name, its stop signal and its task.
type RunningReader = (&'static str, oneshot::Sender<()>, JoinHandle<Result<(), Error>>);

/// One consumer for each reader, which run until the scenario ends.
pub(crate) struct Readers {
    url: String,
    topic: String,
    running: Vec<RunningReader>,
}

/// Topic, partition and aggregate, with the numbers that took effect, in their order.
type Effects = BTreeMap<(String, i32, String), Vec<i64>>;

async fn numbered(reader: &&'static str, tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    let envelope = event.envelope();
    let number: i64 = envelope.payload.as_text().ok_or("no payload")?.parse()?;
    let aggregate = envelope.aggregate_id.as_deref().ok_or("no aggregate")?;
    let sql = "INSERT INTO effect (reader, topic, partition, aggregate, number) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, &[reader, &event.topic(), &event.partition(), &aggregate, &number]).await?;
    Ok(())
}

impl Readers {
    pub(crate) fn start(env: &TestEnv, brokers: &str, security: &Security, types: &[&str]) -> Self {
        let running = READERS.map(|(name, reader)| {
            let builder = Consumer::builder(brokers.split(','))
                .security(security.clone())
                .reader(reader)
                .pipeline(env.pipeline().clone())
                .group(name)
                .pool(env.pool())
                .lease_ttl(Duration::from_secs(10));
            let builder =
                types.iter().fold(builder, |builder, of| builder.on_raw(*of, "Numbered", with(name, numbered)));
            let (stop, stopped) = oneshot::channel::<()>();
            let ended = tokio::spawn(builder.build().unwrap().run(async { _ = stopped.await }));
            (name, stop, ended)
        });
        Self { url: env.url().to_owned(), topic: env.topic().to_owned(), running: running.into() }
    }

    /// Waits until each reader has this many more effects, from whichever partitions.
    pub(crate) async fn handle(&self, more: i64) {
        let client = connect(&self.url).await;
        for (reader, before) in READERS.map(|(name, _)| name).into_iter().zip(self.counts(&client).await) {
            let goal = before.iter().sum::<i64>() + more;
            eventually(format!("{reader} has {goal} effects"), async || {
                let now = self.counts_of(&client, reader).await;
                if now.iter().sum::<i64>() >= goal { Ok(()) } else { Err(now) }
            })
            .await;
        }
    }

    /// Waits until each reader has this many more effects from each partition.
    pub(crate) async fn handle_of_each(&self, more: i64) {
        let client = connect(&self.url).await;
        for (reader, before) in READERS.map(|(name, _)| name).into_iter().zip(self.counts(&client).await) {
            eventually(format!("{reader} has {more} effects more than {before:?}"), async || {
                let now = self.counts_of(&client, reader).await;
                if now.iter().zip(&before).all(|(now, before)| *now >= before + more) { Ok(()) } else { Err(now) }
            })
            .await;
        }
    }

    /// Waits until each reader has noted a reason with this text, in any case, at a partition.
    pub(crate) async fn show(&self, text: &str) {
        let client = connect(&self.url).await;
        let sql = "SELECT partition, stopped_because FROM outbox.consumer_position
                   WHERE consumer_group = $1 AND stopped_because IS NOT NULL";
        for (reader, _) in READERS {
            eventually(format!("{reader} notes {text}"), async || {
                let rows = client.query(sql, &[&reader]).await.unwrap();
                let reasons: Vec<(i32, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
                let found = reasons.iter().any(|(_, reason)| reason.to_lowercase().contains(text));
                if found { Ok(()) } else { Err(reasons) }
            })
            .await;
        }
    }

    /// Waits for all effects, stops the consumers, and checks that each event took effect once and in order.
    pub(crate) async fn check(self, written: &[Written]) {
        let client = connect(&self.url).await;
        let events: i64 = written.iter().map(Written::events).sum();

        for (reader, stop, ended) in self.running {
            let sql = "SELECT count(*) FROM effect WHERE reader = $1";
            eventually(format!("{reader} has all {events} effects"), async || {
                assert!(!ended.is_finished(), "the consumer with {reader} has ended");
                let now: i64 = client.query_one(sql, &[&reader]).await.unwrap().get(0);
                if now >= events { Ok(()) } else { Err(now) }
            })
            .await;
            _ = stop.send(());
            ended.await.unwrap().unwrap();

            let mut found = effects(&client, reader).await;
            for Written { topic, rounds } in written {
                for (partition, count) in rounds.iter().enumerate() {
                    for aggregate in Written::aggregates(partition) {
                        let place = (topic.clone(), i32::try_from(partition).unwrap(), aggregate);
                        let numbers = found.remove(&place).unwrap_or_default();
                        let wanted: Vec<i64> = (0..*count).collect();
                        assert_eq!(numbers, wanted, "{reader}, {place:?}: lost, duplicated or out of order");
                    }
                }
            }
            assert!(found.is_empty(), "{reader}: {found:?}");
            eprintln!("{reader}: {events} effects are once and in order");
        }

        let held: i64 = client.query_one("SELECT count(*) FROM outbox.consumer_held", &[]).await.unwrap().get(0);
        assert_eq!(held, 0, "no event fails");
    }

    /// Returns the effects of each reader from each partition of the scenario's topic.
    async fn counts(&self, client: &Client) -> [Vec<i64>; 2] {
        [self.counts_of(client, READERS[0].0).await, self.counts_of(client, READERS[1].0).await]
    }

    async fn counts_of(&self, client: &Client, reader: &str) -> Vec<i64> {
        let ended = self.running.iter().find(|(_, _, ended)| ended.is_finished());
        assert!(ended.is_none(), "the consumer with {} has ended", ended.unwrap().0);
        let sql = "SELECT count(effect) FROM generate_series(0, $3 - 1) AS p
                   LEFT JOIN effect ON partition = p AND reader = $1 AND topic = $2 GROUP BY p ORDER BY p";
        let rows = client.query(sql, &[&reader, &self.topic, &PARTITIONS]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn effects(client: &Client, reader: &str) -> Effects {
    let sql = "SELECT topic, partition, aggregate, number FROM effect WHERE reader = $1 ORDER BY n";
    let mut effects = Effects::new();
    for row in client.query(sql, &[&reader]).await.unwrap() {
        effects.entry((row.get(0), row.get(1), row.get(2))).or_default().push(row.get(3));
    }
    effects
}
