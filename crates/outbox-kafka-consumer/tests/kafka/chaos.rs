//! Consumers are killed, PostgreSQL crashes, records come twice; and then the database is asked what happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::{NoTls, connect};
use outbox_testkit::Postgres;

use crate::bench::{Bench, OrderCreated, eventually, produce_to, set_up};
use crate::process::{At13, Process};

/// What every run of the tests does; `OUTBOX_CHAOS_EVENTS`, `_AGGREGATES` and `_SEED` make it larger, or the same again.
const EVENTS: u64 = 3_000;
const AGGREGATES: u64 = 60;
const PARTITIONS: u64 = 4;
const CRASHES_OF_POSTGRES: usize = 2;
/// In how many parts the events are produced.
const SLICES: usize = 100;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
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
    let (seed, events, aggregates) =
        (setting("SEED", now), setting("EVENTS", EVENTS), setting("AGGREGATES", AGGREGATES));
    println!("OUTBOX_CHAOS_SEED={seed} OUTBOX_CHAOS_EVENTS={events} OUTBOX_CHAOS_AGGREGATES={aggregates}");
    let mut random = Random(seed);
    let bench = Bench::with_partitions(PARTITIONS as i32).await;
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    set_up(database.url()).await;

    let mut steps: BTreeMap<u64, i64> = BTreeMap::new();
    let mut partitions: Vec<Vec<OutboxEvent>> = vec![Vec::new(); PARTITIONS as usize];
    for _ in 0..events {
        let order = 100 + random.below(aggregates);
        let step = steps.entry(order).or_default();
        let event = OutboxEvent::of(&OrderCreated { order_id: order as i64, step: *step }).build().unwrap();
        *step += 1;
        let partition = &mut partitions[(order % PARTITIONS) as usize];
        partition.push(event);
        // Again, some of what came before, in its old order.
        if random.below(20) == 0 {
            let from = partition.len() - 1 - random.below(5.min(partition.len() as u64)) as usize;
            partition.extend_from_within(from..);
        }
    }
    let spawn = || Process::spawn(&bench.brokers, database.url(), bench.prefix(), At13::Nothing);
    let mut consumers: Vec<Process> = (0..3).map(|_| spawn()).collect();
    // Events come all the while, so that there is always something to interrupt.
    let (brokers, pipeline, rest) = (bench.brokers.clone(), bench.pipeline.clone(), partitions.clone());
    let producer = tokio::spawn(async move {
        let slice = |events: &[OutboxEvent], n: usize| {
            let at = |n: usize| events.len() * n / SLICES;
            events[at(n)..at(n + 1)].to_vec()
        };
        for n in 0..SLICES {
            for (partition, events) in rest.iter().enumerate() {
                produce_to(&brokers, &pipeline, partition as i32, &slice(events, n)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut crashes = 0;
    while crashes < CRASHES_OF_POSTGRES || !producer.is_finished() {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(300 + random.below(1500))).await;
            let victim = random.below(3) as usize;
            consumers[victim].kill();
            tokio::time::sleep(Duration::from_millis(random.below(500))).await;
            consumers[victim] = spawn();
        }
        if crashes < CRASHES_OF_POSTGRES {
            crashes += 1;
            postgres.crash().await.unwrap();
            let (client, connection) = connect(database.url(), NoTls).await.unwrap();
            tokio::spawn(connection);
            let done: i64 = client.query_one("SELECT count(*) FROM effect", &[]).await.unwrap().get(0);
            println!("PostgreSQL crashes for the {crashes}. time, after {done} effects");
        }
    }
    producer.await.unwrap();

    let expected: i64 = steps.values().sum();
    let since = Instant::now();
    let (client, connection) = connect(database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    // The history as the database has it.
    let mut seen = (0, Instant::now());
    loop {
        let done: i64 = client.query_one("SELECT count(*) FROM effect", &[]).await.unwrap().get(0);
        if done >= expected {
            break;
        }
        if done > seen.0 {
            seen = (done, Instant::now());
        }
        assert!(seen.1.elapsed() < Duration::from_secs(40), "{done} of {expected}\n{}", consumers[0].log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{expected} effects, the last of them {:?} after the last crash", since.elapsed());
    eventually("positions at the end".to_owned(), async || {
        let sql = "SELECT topic, partition, next_offset FROM outbox.consumer_position ORDER BY partition";
        let rows = client.query(sql, &[]).await.unwrap();
        let found: Vec<i64> = rows.iter().map(|row| row.get(2)).collect();
        let ends: Vec<i64> = partitions.iter().map(|events| events.len() as i64).collect();
        if found == ends { Ok(()) } else { Err((found, ends)) }
    })
    .await;
    drop(consumers);
    let mut found: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for row in client.query("SELECT order_id, step FROM effect ORDER BY n", &[]).await.unwrap() {
        found.entry(row.get::<_, i64>(0) as u64).or_default().push(row.get(1));
    }
    for (order, count) in steps {
        assert_eq!(found[&order], (0..count).collect::<Vec<_>>(), "order {order}, seed {seed}");
    }
    let held: i64 = client.query_one("SELECT count(*) FROM outbox.consumer_held", &[]).await.unwrap().get(0);
    assert_eq!(held, 0);
    bench.remove_topic().await;
}
