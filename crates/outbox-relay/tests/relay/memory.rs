use std::ops::Range;

use crate::fixture::RelayEnv;
use crate::program::Program;

/// In the unit of [`Program::peak_memory`].
const MIB: u64 = 1_024;

/// Fewer than the million that it is for, as an unoptimised build takes its time; with three times as many the memory
/// is the same, 35 MiB. Another 8 MiB are rows that are read only if a broker acknowledges a partition's rows later than
/// after a second, as on a busy machine.
#[tokio::test]
async fn a_transaction_of_100_000_rows_is_relayed_in_bounded_memory() {
    relayed_in_bounded_memory(0..100_000, 100, 48 * MIB).await;
}

/// The buffers hold more of large rows than of small ones: 44 to 48 MiB were seen. Each of the two transactions has
/// 64 MiB.
#[tokio::test]
async fn rows_of_almost_a_megabyte_are_relayed_in_bounded_memory() {
    relayed_in_bounded_memory(0..150, 900_000, 64 * MIB).await;
}

/// Relays rows of one transaction: once from a backlog, and once from the stream.
async fn relayed_in_bounded_memory(numbers: Range<i64>, bytes: i32, bound: u64) {
    let fixture = RelayEnv::new(2).await;
    let half = numbers.start + (numbers.end - numbers.start) / 2;
    fixture.enqueue_fat_at_once(numbers.start..half, bytes).await;
    let relay = Program::start(&fixture);
    fixture.slot_becomes("active").await;
    fixture.enqueue_fat_at_once(half..numbers.end, bytes).await;
    fixture.all_arrived_once_and_in_order().await;
    let peak = relay.peak_memory();
    eprintln!("the relay had {peak} KiB at most");
    assert!(peak < bound, "{peak} KiB");
    assert!(relay.stop().await.success());
}
