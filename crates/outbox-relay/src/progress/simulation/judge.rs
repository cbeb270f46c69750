use std::collections::BTreeSet;

use super::broker::{DEAD_LETTERS, PartitionLog};
use super::process::Process;
use super::world::World;

/// The faults that no schedule may end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Lost {
        event: usize,
    },
    /// An event twice in one partition, or before an earlier one, and no named window was opened there.
    OutOfPlace {
        topic: usize,
        partition: usize,
        event: usize,
    },
    /// A process has stopped at a poison row, and this row before it is not in the log.
    Unsent {
        event: usize,
    },
    /// A process has stopped, and not confirmed the transactions before the poison row's.
    Unconfirmed,
    /// A row that was to be left out.
    Written {
        event: usize,
    },
    /// The slot was not moved to the end, or rows are still held.
    Unfinished,
}

pub fn judge(world: &World) -> Result<(), Fault> {
    if let Some(fault) = &world.fault {
        return Err(fault.clone());
    }

    let present = present(world);
    if let Some(event) = world.left_out.iter().find(|event| present.iter().any(|topic| topic.contains(event))) {
        return Err(Fault::Written { event: *event });
    }
    for (topic, logs) in world.broker.topics.iter().enumerate() {
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
        let is_gone = world.removed.contains(&wire.event) || world.left_out.contains(&wire.event);
        if !present[topic].contains(&wire.event) && !is_gone {
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

/// Checks the conditions after a process has stopped at a poison row.
pub fn judge_stop(world: &World, process: &Process) -> Result<(), Fault> {
    let (Some((stop, _)), postgres) = (process.stopping, &world.postgres) else { return Ok(()) };
    if process.timeline != postgres.timeline {
        return Ok(());
    }

    let present = present(world);
    let transactions = || postgres.transactions.iter().filter(|transaction| transaction.commit <= stop.commit);
    for wire in transactions().flat_map(|transaction| &transaction.rows) {
        let is_gone = world.removed.contains(&wire.event) || world.left_out.contains(&wire.event);
        if postgres.positions[wire.event] < stop && !present[wire.topic].contains(&wire.event) && !is_gone {
            return Err(Fault::Unsent { event: wire.event });
        }
    }

    let before = transactions().rfind(|transaction| transaction.commit < stop.commit);
    let is_confirmed = |end| postgres.confirmed >= end || postgres.holder != Some(process.number);
    match before {
        Some(before) if !is_confirmed(before.end) => Err(Fault::Unconfirmed),
        _ => Ok(()),
    }
}

/// Returns the events of each topic's records.
fn present(world: &World) -> Vec<BTreeSet<usize>> {
    let events = |logs: &Vec<PartitionLog>| {
        logs.iter().flat_map(|log| &log.records).filter_map(|stored| stored.event()).collect()
    };
    world.broker.topics.iter().map(events).collect()
}
