//! Servers that stop for longer than anything waits for them.

use std::time::{Duration, Instant};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::{Consumer, EventState};
use outbox_test_support::{eventually, pool};
use outbox_testkit::{Broker, Fault, Postgres};
use rustix::process::{Pid, Signal, kill_process};

use crate::env::{ConsumerEnv, LEASE, OrderCreated, Running, produce_to, set_up};
use crate::positions::store;

/// Longer than the ten seconds that an answer is waited for, and than each lease.
const STANDSTILL: Duration = Duration::from_secs(30);

async fn produce(broker: &Broker, env: &ConsumerEnv, orders: std::ops::Range<i64>) {
    let events: Vec<OutboxEvent> =
        orders.map(|order_id| OutboxEvent::from_event(&OrderCreated { order_id, step: 0 }).build().unwrap()).collect();
    produce_to(&broker.address(), env.pipeline(), 0, &events).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stood_still_loses_and_doubles_nothing() {
    let env = ConsumerEnv::without_topic().await;
    let broker = Broker::start().await.unwrap();
    broker.create_topic(env.topic(), 1).unwrap();
    produce(&broker, &env, 0..20).await;
    let consumer = Consumer::builder([broker.address()]).pipeline(env.pipeline().clone()).group("test");
    let consumer = consumer.pool(env.pool()).lease_ttl(LEASE).on(store).build().unwrap();
    let running = Running::start(consumer);
    env.effects(20).await;
    broker.faults().freeze();
    tokio::time::sleep(STANDSTILL).await;
    broker.faults().thaw();

    let thawed = Instant::now();
    produce(&broker, &env, 20..40).await;
    assert_eq!(env.effects(40).await, (0..40).collect::<Vec<_>>());
    println!("continued {:?} after the standstill", thawed.elapsed());

    // A leader that says it is none, as after a move of which the client does not know.
    broker.faults().inject(Fault::not_leader().on(env.topic(), 0).times(3));
    produce(&broker, &env, 40..41).await;
    assert_eq!(env.effects(41).await.len(), 41);
    env.position(0, 41).await;
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}

/// Returns the server's processes: the postmaster and its children.
fn family(backend: i32) -> Vec<Pid> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let postmaster = parent(backend).unwrap();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = all.filter(|pid| parent(*pid) == Some(postmaster));
    children.chain([postmaster]).filter_map(Pid::from_raw).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_stood_still_loses_and_doubles_nothing() {
    let env = ConsumerEnv::with_partitions(1).await;
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let client = set_up(database.url()).await;
    let consumer = env.consumer().pool(pool(database.url(), 16)).on(store).build().unwrap();
    let running = Running::start(consumer);
    let effects = async || -> i64 { client.query_one("SELECT count(*) FROM effect", &[]).await.unwrap().get(0) };
    for order in 0..20 {
        env.produce_order(0, order).await;
    }

    eventually("20 effects".to_owned(), async || match effects().await {
        20 => Ok(()),
        other => Err(other),
    })
    .await;

    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let stopped = family(backend);
    stopped.iter().for_each(|pid| kill_process(*pid, Signal::STOP).unwrap());
    for order in 20..40 {
        env.produce_order(0, order).await;
    }

    tokio::time::sleep(STANDSTILL).await;
    stopped.iter().for_each(|pid| _ = kill_process(*pid, Signal::CONT));
    let thawed = Instant::now();
    eventually("40 effects".to_owned(), async || match effects().await {
        40 => Ok(()),
        other => Err(other),
    })
    .await;
    println!("continued {:?} after the standstill", thawed.elapsed());
    running.stop().await.unwrap();
    let doubled = "SELECT count(*) - count(DISTINCT order_id) FROM effect";
    assert_eq!(client.query_one(doubled, &[]).await.unwrap().get::<_, i64>(0), 0);
}
