use super::broker::{Answer, DEAD_LETTERS, Stored, StoredContent};
use super::mutation::Mutation;
use super::postgres::Wire;
use super::process::{Open, place, uuid};
use super::world::World;
use crate::progress::{Content, PartitionId, Reach, ReadFrom, Row, Scan, Seen, Tail};

impl World {
    /// Reads the part of a partition that a process reads, from the present log.
    pub fn read_log(&mut self, index: usize, partition: PartitionId, from: ReadFrom) -> Open {
        let process = &mut self.processes[index];
        let (topic, at) = place(partition);
        let log = &mut self.broker.topics[topic][at];
        let refused = process.outcomes[partition.0 as usize] == Some(Answer::OutOfOrder);
        let appended =
            matches!(process.outcomes[partition.0 as usize], Some(Answer::Appended(_) | Answer::HadAlready(_)));

        let is_scan = from == ReadFrom::Tail;
        let mut from = match from {
            ReadFrom::Tail => log.end(),
            ReadFrom::Offset(offset) => match usize::try_from(offset) {
                Ok(offset) if (log.start..=log.end()).contains(&offset) => offset,
                _ => log.start,
            },
        };

        let as_seen = |stored: &Stored| as_seen(stored, process.timeline, self.mutation);
        let (mut seen, tail): (Vec<Seen>, Tail) = if is_scan {
            let is_for_all = topic == DEAD_LETTERS || self.mutation == Mutation::LimitForOwn;
            let reach = if is_for_all { Reach::Limit } else { Reach::Window };
            let limit = u64::try_from(self.scan_limit).unwrap();
            let mut scan = Scan::new(&process.window, reach, offset(log.start)..offset(log.end()), limit, 1);
            while let Some(step) = scan.next_step() {
                from = usize::try_from(step.start).unwrap();
                let step = &log.records[from - log.start..usize::try_from(step.end).unwrap() - log.start];
                step.iter().filter_map(as_seen).for_each(|seen| scan.seen(seen));
                if self.mutation == Mutation::EndAtFirstOwn && step.iter().any(Stored::is_own) {
                    break;
                }
            }

            let (seen, tail) = scan.finish();
            (seen.collect(), tail)
        } else {
            let seen = log.records[from - log.start..].iter().filter_map(as_seen).collect();
            (seen, Tail { end: offset(log.end()), cut: from > log.start })
        };

        let stored = &log.records[from - log.start..];
        let others = stored.iter().filter(|stored| !stored.is_own()).count();
        let is_cut = is_scan && tail.cut && (topic == DEAD_LETTERS || others >= self.scan_limit);
        let batch = process.progress.batch(partition);

        match (self.mutation, &batch) {
            (Mutation::NoReadAfterRefusal, Some(batch)) if refused => fake(&mut seen, batch.rows),
            (Mutation::NoReadAfterResume, Some(batch)) if appended => fake(&mut seen, batch.rows),
            (Mutation::SkipUpToLastPosition, None) => {
                let positions = seen.iter().filter_map(|seen| match seen.content {
                    Content::Own(position, _) => Some(position),
                    _ => None,
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
            let own = stored.iter().rev().find(|stored| stored.is_own());
            log.found = own.and_then(|stored| stored.written_by).map(|(producer, _)| producer.id);
        }

        if is_cut {
            log.excuse("scan limit");
        }

        let (number, is_tail) = (process.number, batch.is_none());
        self.report(|| format!("process {number} reads {topic}-{at} from {from}, before a batch: {is_tail}"));
        Open::Snapshot { partition, seen, tail }
    }
}

fn offset(offset: usize) -> i64 {
    i64::try_from(offset).unwrap()
}

fn as_seen(stored: &Stored, timeline: u32, mutation: Mutation) -> Option<Seen> {
    let content = match stored.content {
        StoredContent::Own(event, position, of) if of == timeline => Content::Own(position, uuid(event)),
        StoredContent::Own(..) if mutation == Mutation::ForgetOtherTimeline => return None,
        StoredContent::Own(event, position, _) => Content::OtherTimeline(position, uuid(event)),
        StoredContent::Debezium(event) => Content::Unplaced(uuid(event)),
        StoredContent::Foreign => return None,
    };
    let written_by = stored.written_by.filter(|_| mutation != Mutation::NewProducerAfterTakeOver);
    Some(Seen { written_by, content })
}

fn fake(seen: &mut Vec<Seen>, rows: &[Row<Wire>]) {
    seen.extend(rows.iter().map(|row| Seen { written_by: None, content: Content::Own(row.position, row.event) }));
}
