use std::collections::BTreeSet;

use super::broker::DEAD_LETTERS;
use super::world::World;

/// What may not be at the end of any schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Lost {
        event: usize,
    },
    /// An event twice in one partition, or before an earlier one, and no named window was opened there.
    OutOfPlace {
        topic: usize,
        partition: usize,
        event: usize,
    },
    /// The slot was not moved to the end, or rows are still held.
    Unfinished,
}

pub(super) fn judge(world: &World) -> Result<(), Fault> {
    let mut present: Vec<BTreeSet<usize>> = Vec::new();
    for (topic, logs) in world.broker.topics.iter().enumerate() {
        present.push(logs.iter().flat_map(|log| &log.records).filter_map(|stored| stored.event()).collect());
        for (partition, log) in logs.iter().enumerate() {
            if log.excused.is_some() || topic == DEAD_LETTERS {
                continue;
            }
            let mut last = None;
            let events = log.records.iter().filter_map(|stored| stored.event());
            for event in events.filter(|event| !world.taken_back.contains(event)) {
                let position = Some(world.postgres.positions[event]);
                if position <= last {
                    return Err(Fault::OutOfPlace { topic, partition, event });
                }
                last = position;
            }
        }
    }
    for wire in world.postgres.transactions.iter().flat_map(|transaction| &transaction.rows) {
        let topic = if wire.is_poison { DEAD_LETTERS } else { wire.topic };
        if !present[topic].contains(&wire.event) && !world.removed.contains(&wire.event) {
            return Err(Fault::Lost { event: wire.event });
        }
    }
    let is_held = world.processes.iter().any(|process| process.progress.buffered_rows() > 0);
    let end = world.postgres.transactions.last().map(|transaction| transaction.end);
    if is_held || end.is_some_and(|end| world.postgres.confirmed < end) {
        return Err(Fault::Unfinished);
    }
    Ok(())
}
