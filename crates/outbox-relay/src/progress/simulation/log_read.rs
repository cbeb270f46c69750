use super::broker::{Answer, Stored, StoredContent};
use super::mutation::Mutation;
use super::postgres::Wire;
use super::process::{Open, place, uuid};
use super::world::World;
use crate::progress::{Content, From, PartitionId, Row, Seen, Tail};

impl World {
    /// What a process reads of a partition, as the log is now.
    pub(super) fn read_log(&mut self, index: usize, partition: PartitionId, from: From) -> Open {
        let process = &mut self.processes[index];
        let (topic, at) = place(partition);
        let log = &mut self.broker.topics[topic][at];
        let refused = process.outcomes[partition.0 as usize] == Some(Answer::OutOfOrder);
        let appended =
            matches!(process.outcomes[partition.0 as usize], Some(Answer::Appended(_) | Answer::HadAlready(_)));
        let from = match from {
            From::Tail => log.batch_start(log.end().saturating_sub(self.scan_limit)),
            From::Offset(offset) => match usize::try_from(offset) {
                Ok(offset) if (log.start..=log.end()).contains(&offset) => offset,
                _ => log.start,
            },
        };
        let tail = Tail { end: i64::try_from(log.end()).unwrap(), cut: from > log.start };
        let stored = &log.records[from - log.start..];
        let mut seen: Vec<Seen> = stored.iter().filter_map(|stored| as_seen(stored, self.mutation)).collect();
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
