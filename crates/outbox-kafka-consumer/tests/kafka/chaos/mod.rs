//! Consumers are killed, PostgreSQL crashes, Kafka is restarted, records come twice; and then the database is asked
//! what happened.

mod disasters;
mod history;
mod writer;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use outbox_core::OutboxEvent;
use outbox_test_support::{connect, eventually};
use outbox_testkit::Postgres;
use rskafka::client::partition::{OffsetAt, UnknownTopicHandling};
use tokio::task::block_in_place;
use xtask::is_full;
use xtask::stack::{NewTopic, Stack};

use self::disasters::{Consumers, Disasters};
use self::history::Orders;
use self::writer::Writer;
use crate::env::{ConsumerEnv, set_up};

const PARTITIONS: u64 = 4;
/// In how many parts the events are written.
const SLICES: usize = 100;

/// The size of a run; `OUTBOX_CHAOS_EVENTS`, `_AGGREGATES` and `_SEED` make it another one, or the same again.
struct Size {
    events: u64,
    aggregates: u64,
    brokers: u8,
    /// The pause after each part of the events.
    pause: Duration,
}

const USUAL: Size = Size { events: 3_000, aggregates: 60, brokers: 1, pause: Duration::from_millis(50) };
const FULL: Size = Size { events: 100_000, aggregates: 1_000, brokers: 3, pause: Duration::from_millis(600) };

/// Nothing for so long, and it continues no more.
const STANDSTILL: Duration = Duration::from_secs(300);

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn setting(name: &str, unless_set: u64) -> u64 {
    std::env::var(format!("OUTBOX_CHAOS_{name}")).map_or(unless_set, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_takes_effect_once_and_in_order_whatever_dies() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let size = if is_full() { FULL } else { USUAL };
    let (seed, events, aggregates) =
        (setting("SEED", now), setting("EVENTS", size.events), setting("AGGREGATES", size.aggregates));
    println!("OUTBOX_CHAOS_SEED={seed} OUTBOX_CHAOS_EVENTS={events} OUTBOX_CHAOS_AGGREGATES={aggregates}");
    let mut random = Random(seed);
    let kafka = block_in_place(|| Stack::connect().unwrap().kafka_cluster().unwrap().brokers(size.brokers).start());
    let kafka = kafka.unwrap();
    let env = ConsumerEnv::at(kafka.bootstrap()).await;
    block_in_place(|| kafka.create_topic(&NewTopic::new(env.topic()).partitions(PARTITIONS as i32))).unwrap();
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    set_up(database.url()).await;

    let orders = Orders::random(&mut random, events, aggregates);
    // Events come all the while, so that there is always something to interrupt.
    let writer = Writer::new(env.brokers(), env.topic(), env.pipeline().clone()).await;
    let partitions = orders.partitions.clone();
    let producer = tokio::spawn(async move {
        let slice = |events: &[OutboxEvent], n: usize| {
            let at = |n: usize| events.len() * n / SLICES;
            events[at(n)..at(n + 1)].to_vec()
        };
        for n in 0..SLICES {
            for (partition, events) in partitions.iter().enumerate() {
                writer.write(partition as i32, &slice(events, n)).await;
            }
            tokio::time::sleep(size.pause).await;
        }
    });

    let consumers =
        Consumers::start(&mut random, env.brokers().to_owned(), database.url().to_owned(), env.name().to_owned());

    let mut disasters = Disasters { consumers, postgres: postgres.clone(), kafka: Some(kafka) };
    disasters.happen(&mut random, || producer.is_finished()).await;
    producer.await.unwrap();

    let since = Instant::now();
    let client = connect(database.url()).await;
    let mut seen = (0, Instant::now());

    loop {
        let done: i64 = client.query_one("SELECT count(*) FROM effect", &[]).await.unwrap().get(0);
        if done >= orders.events {
            break;
        }
        if done > seen.0 {
            seen = (done, Instant::now());
        }
        assert!(seen.1.elapsed() < STANDSTILL, "{done} of {}\n{}", orders.events, disasters.consumers.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    println!("{} effects, the last of them {:?} after the last disaster", orders.events, since.elapsed());
    for partition in 0..PARTITIONS as i32 {
        let opened = env.kafka().partition_client(env.topic(), partition, UnknownTopicHandling::Retry).await.unwrap();
        // A producer whose answer was lost has written more than it was asked to.
        let end = opened.get_offset(OffsetAt::Latest).await.unwrap();
        eventually(format!("the position {end}"), async || {
            let sql = "SELECT next_offset FROM outbox.consumer_position WHERE partition = $1";
            let found: i64 = client.query_one(sql, &[&partition]).await.unwrap().get(0);
            if found == end { Ok(()) } else { Err(found) }
        })
        .await;
    }

    drop(disasters.consumers);
    orders.check(&client, seed).await;
}
