use super::broker::{Answer, DEAD_LETTERS, PartitionLog, Stored, StoredContent};
use super::mutation::Mutation;
use super::postgres::Wire;
use super::process::{Open, place, uuid};
use super::world::World;
use crate::progress::{Content, From, PartitionId, Reach, Row, Scan, Seen, Tail};

impl World {
    /// What a process reads of a partition, as the log is now.
    pub(super) fn read_log(&mut self, index: usize, partition: PartitionId, from: From) -> Open {
        let process = &mut self.processes[index];
        let (topic, at) = place(partition);
        let log = &mut self.broker.topics[topic][at];
        let refused = process.outcomes[partition.0 as usize] == Some(Answer::OutOfOrder);
        let appended =
            matches!(process.outcomes[partition.0 as usize], Some(Answer::Appended(_) | Answer::HadAlready(_)));
        let is_scan = from == From::Tail;
        let from = match from {
            From::Tail => log.batch_start(log.end().saturating_sub(self.scan_limit)),
            From::Offset(offset) => match usize::try_from(offset) {
                Ok(offset) if (log.start..=log.end()).contains(&offset) => offset,
                _ => log.start,
            },
        };
        let stored = &log.records[from - log.start..];
        let reach = if topic == DEAD_LETTERS { Reach::Limit } else { Reach::Window };
        let (mut seen, tail) = if is_scan {
            let mut scan =
                Scan::new(&process.window, reach, offset(log.start)..offset(log.end()), as_limit(log, from), 1);
            while let Some(step) = scan.next_step() {
                let within = |at: i64| usize::try_from(at).unwrap() - log.start;
                let step = &log.records[within(step.start)..within(step.end)];
                step.iter().filter_map(|stored| as_seen(stored, self.mutation)).for_each(|seen| scan.seen(seen));
            }
            scan.finish()
        } else {
            let seen = stored.iter().filter_map(|stored| as_seen(stored, self.mutation)).collect();
            (seen, Tail { end: offset(log.end()), cut: from > log.start })
        };
        let batch = process.progress.batch(partition);
        match (self.mutation, &batch) {
            (Mutation::NoReadAfterRefusal, Some(batch)) if refused => fake(&mut seen, batch.rows),
            (Mutation::NoReadAfterResume, Some(batch)) if appended => fake(&mut seen, batch.rows),
            (Mutation::SkipUpToLastPosition, None) => {
                let positions = seen.iter().filter_map(|seen| match seen.content {
                    Content::Own(position, _) => Some(position),
                    Content::Unplaced(_) => None,
                });
                let last = positions.max();
                let all = self.postgres.positions.iter().enumerate();
                let before = all.filter(|(_, position)| Some(**position) <= last);
                seen.extend(
                    before.map(|(event, position)| Seen {
                        written_by: None,
                        content: Content::Own(*position, uuid(event)),
                    }),
                );
            }
            _ => {}
        }
        if batch.is_none() && process.number >= log.known_to {
            log.known_to = process.number;
            let own = stored.iter().rev().find(|stored| matches!(stored.content, StoredContent::Own(..)));
            log.found = own.and_then(|stored| stored.written_by).map(|(producer, _)| producer.id);
            if tail.cut {
                log.excuse("scan limit");
            }
        }
        let (number, is_tail) = (process.number, batch.is_none());
        self.tell(|| format!("process {number} reads {topic}-{at} from {from}, before a batch: {is_tail}"));
        Open::Snapshot { partition, seen, tail }
    }
}

fn offset(offset: usize) -> i64 {
    i64::try_from(offset).unwrap()
}

/// The limit of a scan that goes back to an offset.
fn as_limit(log: &PartitionLog, from: usize) -> u64 {
    u64::try_from(log.end() - from).unwrap()
}

fn as_seen(stored: &Stored, mutation: Mutation) -> Option<Seen> {
    let content = match stored.content {
        StoredContent::Own(event, position) => Content::Own(position, uuid(event)),
        StoredContent::Debezium(event) => Content::Unplaced(uuid(event)),
        StoredContent::Foreign => return None,
    };
    let written_by = stored.written_by.filter(|_| mutation != Mutation::NewProducerAfterTakeOver);
    Some(Seen { written_by, content })
}

fn fake(seen: &mut Vec<Seen>, rows: &[Row<Wire>]) {
    seen.extend(rows.iter().map(|row| Seen { written_by: None, content: Content::Own(row.position, row.event) }));
}
