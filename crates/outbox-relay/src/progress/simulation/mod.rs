//! Random schedules over a model of PostgreSQL's slot, the broker's log and the network between.

mod broker;
mod guard_tests;
mod judge;
mod log_read;
mod mutation;
mod mutation_tests;
mod postgres;
mod process;
mod schedule;
mod window_tests;
mod world;

use std::collections::BTreeMap;

use self::mutation::Mutation;

const SCHEDULES: u64 = 30_000;

#[test]
fn nothing_is_lost_and_each_event_is_once_and_in_order_outside_the_named_windows() {
    if let Ok(seed) = std::env::var("OUTBOX_RELAY_SEED") {
        let seed = seed.parse().unwrap();
        println!("{}", story(seed, Mutation::None));
        run(seed);
        return;
    }

    let count = std::env::var("OUTBOX_RELAY_SCHEDULES").map_or(SCHEDULES, |count| count.parse().unwrap());
    let halves = std::thread::scope(|scope| {
        let half = |first: u64| scope.spawn(move || (first..count).step_by(2).flat_map(run).collect::<Vec<_>>());
        [half(0), half(1)].map(|half| half.join().unwrap())
    });
    let mut windows: BTreeMap<&str, u32> = BTreeMap::new();
    for window in halves.into_iter().flatten() {
        *windows.entry(window).or_default() += 1;
    }

    println!("{count} schedules; partitions by the window that was opened: {windows:?}");
    assert!(windows["none"] > windows.values().sum::<u32>() / 2, "most partitions shall be judged strictly");
}

/// Returns which window was opened, for each partition.
fn run(seed: u64) -> Vec<&'static str> {
    let (world, result) = schedule::run(seed, Mutation::None, false);
    if let Err(fault) = result {
        panic!("{fault:?} in the schedule OUTBOX_RELAY_SEED={seed}:\n{}", story(seed, Mutation::None));
    }
    world.broker.topics.iter().flatten().map(|log| log.excused.unwrap_or("none")).collect()
}

fn story(seed: u64, mutation: Mutation) -> String {
    let (world, _) = schedule::run(seed, mutation, true);
    let mut lines = world.story.unwrap_or_default();
    for (topic, logs) in world.broker.topics.iter().enumerate() {
        for (partition, log) in logs.iter().enumerate() {
            let events: Vec<_> = log.records.iter().map(|stored| stored.event()).collect();
            lines.push(format!("{topic}-{partition} from {}: {events:?}, window: {:?}", log.start, log.excused));
        }
    }
    lines.join("\n")
}
