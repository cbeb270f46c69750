//! The memory of a process, whatever the number of its partitions and the size of their records.

use std::process::Command;
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{Consumer, HandlerResult, Received, with};
use tokio::sync::watch;

use crate::env::{ConsumerEnv, produce_to};
use crate::process::pipeline;

const VARIABLE: &str = "OUTBOX_TEST_MEMORY";
const PARTITIONS: usize = 48;
const EVENTS: usize = 28;
const EVENT_BYTES: usize = 96 << 10;
/// The setting.
const MEMORY: usize = 8 << 20;
/// Records that were dealt, the fetches of rskafka, and those of the native reader have the setting each; in addition,
/// one request to the broker and one batch of each partition. The rest is for everything else in the process.
const MOST: usize = 4 * MEMORY + PARTITIONS * EVENT_BYTES + (28 << 20);

/// Returns a number of bytes of `/proc/self/status`.
fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches(|character: char| !character.is_ascii_digit()).parse::<usize>().unwrap() << 10
}

/// Takes longer than fetching.
async fn counts(seen: &watch::Sender<usize>, _: &Transaction<'_>, _: Received<()>) -> HandlerResult {
    tokio::time::sleep(Duration::from_millis(1)).await;
    seen.send_modify(|seen| *seen += 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_only_where_another_test_asks_for_it() {
    let Ok(settings) = std::env::var(VARIABLE) else { return };
    let parts: Vec<&str> = settings.split('|').collect();
    let (sender, mut seen) = watch::channel(0);
    let consumer = Consumer::builder(parts[0].split(','))
        .pipeline(pipeline(parts[2]))
        .group("test")
        .pool(outbox_test_support::pool(parts[1], 4))
        .max_memory(u32::try_from(MEMORY).unwrap())
        .on_raw("order", "OrderCreated", with(sender, counts))
        .build()
        .unwrap();

    let before = status("VmRSS:");
    let all = async move { _ = seen.wait_for(|seen| *seen >= PARTITIONS * EVENTS).await };
    consumer.run(all).await.unwrap();
    println!("grown by {} bytes", status("VmHWM:").saturating_sub(before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_a_process_is_bounded_by_its_settings_not_by_its_partitions_and_records() {
    let env = ConsumerEnv::with_partitions(i32::try_from(PARTITIONS).unwrap()).await;
    let pad = "x".repeat(EVENT_BYTES);
    for partition in 0..PARTITIONS {
        let event = |n: usize| {
            let json = format!("{{\"order_id\":{n},\"pad\":\"{pad}\"}}");
            OutboxEvent::builder("order", n.to_string(), "OrderCreated").schema_version(3).json(json).build().unwrap()
        };
        let events: Vec<OutboxEvent> = (partition * EVENTS..(partition + 1) * EVENTS).map(event).collect();
        for event in events.chunks(4) {
            produce_to(env.brokers(), env.pipeline(), i32::try_from(partition).unwrap(), event).await;
        }
    }
    let total = PARTITIONS * EVENTS * EVENT_BYTES;
    assert!(MOST < total * 3 / 4, "otherwise the test shows nothing");

    let settings = format!("{}|{}|{}", env.brokers(), env.url(), env.name());
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["memory::runs_only_where_another_test_asks_for_it", "--exact", "--nocapture"])
        .env(VARIABLE, settings)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&ran.stdout);
    let grown = shown.lines().find_map(|line| line.strip_prefix("grown by ")?.strip_suffix(" bytes")?.parse().ok());
    let grown: usize = grown.unwrap_or_else(|| panic!("{shown}{}", String::from_utf8_lossy(&ran.stderr)));
    assert!(grown < MOST, "{} MiB of {} MiB, of records of {} MiB", grown >> 20, MOST >> 20, total >> 20);
}
