use std::ops::Range;

use crate::fixture::RelayEnv;
use crate::program::Program;

const MIB: u64 = 1_024;
/// Of it, 4 MiB are the code of the feature `otlp`, which the program of a test run has. Another 8 MiB are rows that
/// are read only if a broker acknowledges a partition's rows later than after a second, as on a busy machine.
const BOUND: u64 = 48 * MIB;

/// Fewer than the million that it is for, as an unoptimised build takes its time; with three times as many the memory
/// is the same.
#[tokio::test]
async fn a_transaction_of_100_000_rows_is_relayed_in_bounded_memory() {
    relayed_in_bounded_memory(0..100_000, 100).await;
}

#[tokio::test]
async fn rows_of_almost_a_megabyte_are_relayed_in_bounded_memory() {
    relayed_in_bounded_memory(0..100, 900_000).await;
}

/// Relays rows of one transaction: once from a backlog, and once from the stream.
async fn relayed_in_bounded_memory(numbers: Range<i64>, bytes: i32) {
    let fixture = RelayEnv::new(2).await;
    let half = numbers.start + (numbers.end - numbers.start) / 2;
    fixture.enqueue_fat_at_once(numbers.start..half, bytes).await;
    let relay = Program::start(&fixture);
    fixture.slot_becomes("active").await;
    fixture.enqueue_fat_at_once(half..numbers.end, bytes).await;
    fixture.all_arrived_once_and_in_order().await;
    let peak = relay.peak_memory();
    eprintln!("the relay had {peak} KiB at most");
    assert!(peak < BOUND, "{peak} KiB");
    assert!(relay.stop().await.success());
}
