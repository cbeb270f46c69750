use std::collections::{BTreeSet, HashMap};

use outbox_core::Pipeline;
use outbox_core::uuid::Uuid;
use outbox_kafka_consumer::outbox_kafka::Cluster;
use serde::Serialize;
use tokio_postgres::Client;

use super::rows::{self, OutboxRow, Period};
use super::topics::{RecordPlace, no_topics, read_records};
use crate::exit::Failure;
use crate::output::{Part, Report, or_dash};

/// The comparison of rows with records.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    /// The number of rows; `None` if rows are not kept, as for all fields that need rows.
    rows: Option<usize>,
    records: usize,
    missing: Option<Found>,
    duplicated: Found,
    reordered: Option<Found>,
}

/// The events of one kind: their number, and the first of them.
#[derive(Debug, Default, Serialize)]
struct Found {
    count: usize,
    first: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Event {
    id: String,
    topic: String,
    aggregate_id: String,
    event_type: Option<String>,
    /// The row's time, or without rows that of the first record.
    created_at: String,
    records: usize,
}

/// A row and its records in compact form, because there may be millions.
struct Compared {
    id: Uuid,
    /// The id in the table, if it is no UUID.
    written_id: Option<Box<str>>,
    /// The numbers of the topic and of the aggregate within the comparison.
    topic: u32,
    aggregate: u32,
    records: u32,
    /// The place of the first record in the order of reading, which is the order of the log within a partition.
    order: u64,
}

/// Numbers that stand for texts that occur often.
#[derive(Default)]
struct Numbers(HashMap<Box<str>, u32>);

impl Numbers {
    fn of(&mut self, text: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(known) = self.0.get(text) {
            return *known;
        }
        self.0.insert(text.into(), next);
        next
    }
}

impl Verified {
    /// Compares the rows of a period with the records of their topics. Lists at most `listed` events of each kind.
    pub(super) async fn compare(
        client: &Client,
        cluster: &Cluster,
        pipeline: &Pipeline,
        period: &Period,
        listed: usize,
    ) -> Result<Self, Failure> {
        let (mut rows, mut index) = (Vec::new(), HashMap::new());
        let (mut topics, mut aggregates) = (Numbers::default(), Numbers::default());
        rows::within(client, pipeline, period, |row| {
            index.insert(row.id, rows.len());
            // A topic's name has no space.
            let topic = row.topic.as_deref().unwrap_or_default();
            let aggregate = aggregates.of(&format!("{topic} {}", row.aggregate_id));
            let written_id = row.written_id.parse::<Uuid>().is_err().then(|| row.written_id.into_boxed_str());
            rows.push(Compared { id: row.id, written_id, topic: topics.of(topic), aggregate, records: 0, order: 0 });
        })
        .await?;
        drop(aggregates);

        let mut order = 0;
        let names: BTreeSet<_> = topics.0.keys().filter(|name| !name.is_empty()).collect();
        for topic in names {
            let visit = |id: Uuid, _: RecordPlace| {
                order += 1;
                if let Some(row) = index.get(&id).and_then(|index| rows.get_mut(*index)) {
                    if row.records == 0 {
                        row.order = order;
                    }
                    row.records = row.records.saturating_add(1);
                }
            };
            read_records(cluster, topic, visit).await?;
        }

        let mut verified = Self {
            rows: Some(rows.len()),
            records: rows.iter().map(|row| row.records as usize).sum(),
            missing: Some(Found::default()),
            duplicated: Found::default(),
            reordered: Some(Found::default()),
        };
        let shown = verified.count(&rows, listed);
        verified.show(client, pipeline, &shown).await?;
        Ok(verified)
    }

    /// Counts the events of each kind. Returns the first ones of each, which are shown.
    fn count(&mut self, rows: &[Compared], listed: usize) -> Vec<(Kind, String, usize)> {
        let mut shown = Vec::new();
        let mut add = |kind: Kind, found: &mut Found, row: &Compared| {
            found.count += 1;
            if found.count <= listed {
                let id = row.written_id.as_deref().map_or_else(|| row.id.to_string(), str::to_owned);
                shown.push((kind, id, row.records as usize));
            }
        };
        let (mut missing, mut duplicated, mut reordered) = (Found::default(), Found::default(), Found::default());

        // The last place of an earlier event, by aggregate.
        let mut latest: HashMap<(u32, u32), u64> = HashMap::new();
        for row in rows {
            match row.records {
                0 => add(Kind::Missing, &mut missing, row),
                1 => {}
                _ => add(Kind::Duplicated, &mut duplicated, row),
            }
            if row.records > 0 {
                let before = latest.entry((row.topic, row.aggregate)).or_default();
                if row.order < *before {
                    add(Kind::Reordered, &mut reordered, row);
                }
                *before = row.order.max(*before);
            }
        }

        (self.missing, self.duplicated, self.reordered) = (Some(missing), duplicated, Some(reordered));
        shown
    }

    /// Reads the rows of the events that are shown.
    async fn show(
        &mut self,
        client: &Client,
        pipeline: &Pipeline,
        shown: &[(Kind, String, usize)],
    ) -> Result<(), Failure> {
        for (kind, id, records) in shown {
            let row = rows::one(client, pipeline, id).await?;
            let found = match kind {
                Kind::Missing => self.missing.as_mut(),
                Kind::Duplicated => Some(&mut self.duplicated),
                Kind::Reordered => self.reordered.as_mut(),
            };
            // Retention may have removed it in the meantime.
            if let (Some(found), Some(row)) = (found, row) {
                found.first.push(Event::of(row, *records));
            }
        }
        Ok(())
    }

    /// Looks for duplicates among the records of a range of time. Without rows, nothing shows which events there should
    /// be, and in which order they were committed.
    pub(super) async fn without_rows(
        cluster: &Cluster,
        topics: &[String],
        period: &Period,
        listed: usize,
    ) -> Result<Self, Failure> {
        if topics.is_empty() {
            return Err(no_topics());
        }

        let (mut records, mut duplicated) = (0, Found::default());
        for topic in topics {
            let mut seen: HashMap<Uuid, (RecordPlace, usize)> = HashMap::new();
            let visit = |id: Uuid, place: RecordPlace| {
                if period.contains(place.timestamp) {
                    records += 1;
                    seen.entry(id).or_insert((place, 0)).1 += 1;
                }
            };
            read_records(cluster, topic, visit).await?;

            let mut repeated: Vec<_> = seen.into_iter().filter(|(_, (_, count))| *count > 1).collect();
            repeated.sort_by_key(|(_, (first, _))| (first.partition, first.offset));
            for (id, (first, records)) in repeated {
                duplicated.add_event(listed, || Event {
                    id: id.to_string(),
                    topic: topic.clone(),
                    aggregate_id: first.key.clone(),
                    event_type: None,
                    created_at: first.time(),
                    records,
                });
            }
        }
        Ok(Self { rows: None, records, missing: None, duplicated, reordered: None })
    }

    /// Returns whether every event arrived, in its order.
    pub(super) fn is_good(&self) -> bool {
        [&self.missing, &self.reordered].into_iter().flatten().all(|found| found.count == 0)
    }
}

/// The fault of an event that is missing, duplicated or out of order.
#[derive(Clone, Copy)]
enum Kind {
    Missing,
    Duplicated,
    Reordered,
}

impl Event {
    fn of(row: OutboxRow, records: usize) -> Self {
        Self {
            id: row.written_id,
            topic: or_dash(row.topic.as_deref()),
            aggregate_id: row.aggregate_id,
            event_type: Some(row.event_type),
            created_at: row.created_at,
            records,
        }
    }
}

impl Found {
    fn add_event(&mut self, listed: usize, event: impl FnOnce() -> Event) {
        self.count += 1;
        if self.first.len() < listed {
            self.first.push(event());
        }
    }
}

impl Report for Verified {
    fn parts(&self) -> Vec<Part> {
        let row = |kind: &str, one: &Event| {
            let Event { id, topic, aggregate_id, event_type, created_at, records } = one;
            let event_type = or_dash(event_type.as_deref());
            let texts = [kind, id, topic, aggregate_id, &event_type, created_at].map(str::to_owned);
            texts.into_iter().chain([records.to_string()]).collect::<Vec<_>>()
        };
        let kinds = [
            ("missing", self.missing.as_ref()),
            ("duplicated", Some(&self.duplicated)),
            ("out of order", self.reordered.as_ref()),
        ];

        let of = |(kind, found): (&str, Option<&Found>)| {
            let first = found.map(|found| &found.first).into_iter().flatten();
            first.map(|one| row(kind, one)).collect::<Vec<_>>()
        };
        let rows: Vec<_> = kinds.into_iter().flat_map(of).collect();
        let [missing, duplicated, reordered] = kinds.map(|(_, found)| found.map_or(0, |found| found.count));
        let total = match self.rows {
            Some(rows) => format!("{rows} rows: {missing} missing, {duplicated} duplicated, {reordered} out of order"),
            None => format!(
                "{} records: {duplicated} events duplicated; rows are not kept, so it cannot be known whether events are missing \
                 or out of order: outbox slot show counts those that wait",
                self.records
            ),
        };

        let mut parts = Vec::new();
        if !rows.is_empty() {
            let head = &["what", "id", "topic", "aggregate id", "event type", "created at", "records"];
            parts.push(Part::Table { head, rows });
        }

        parts.push(Part::Line(total));
        parts
    }
}
