use std::collections::{BTreeSet, HashMap};

use outbox_core::Pipeline;
use outbox_core::uuid::Uuid;
use outbox_kafka_consumer::outbox_kafka::Cluster;
use serde::Serialize;
use tokio_postgres::Client;

use super::log;
use super::rows::{self, OutboxRow, Period};
use super::topics::no_topics;
use crate::exit::Failure;
use crate::output::{Part, Report, or_dash};

/// The comparison of rows with records.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    /// Nothing if rows are not kept, as of all that only rows show.
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

/// The places of the records of a row.
#[derive(Clone, Copy, Default)]
struct Seen {
    records: usize,
    /// Of the first record: the order of reading, which is that of the log within a partition.
    order: u64,
}

impl Verified {
    pub(super) async fn compare(
        client: &Client,
        cluster: &Cluster,
        pipeline: &Pipeline,
        period: &Period,
        listed: usize,
    ) -> Result<Self, Failure> {
        let rows = rows::within(client, pipeline, period).await?;
        let mut seen: HashMap<_, _> = rows.iter().map(|row| (row.id, Seen::default())).collect();
        let mut order = 0;
        for topic in rows.iter().filter_map(|row| row.topic.as_deref()).collect::<BTreeSet<_>>() {
            let visit = |id: Uuid, _: log::Place| {
                order += 1;
                if let Some(known) = seen.get_mut(&id) {
                    if known.records == 0 {
                        known.order = order;
                    }
                    known.records += 1;
                }
            };
            log::read(cluster, topic, visit).await?;
        }

        let (mut missing, mut duplicated, mut reordered) = (Found::default(), Found::default(), Found::default());
        // The latest place of an older event of each aggregate.
        let mut latest: HashMap<(&str, &str), u64> = HashMap::new();

        for row in &rows {
            let found = seen.get(&row.id).copied().unwrap_or_default();
            match found.records {
                0 => missing.add(row, found, listed),
                1 => {}
                _ => duplicated.add(row, found, listed),
            }
            if found.records > 0 {
                let before =
                    latest.entry((row.topic.as_deref().unwrap_or_default(), row.aggregate_id.as_str())).or_default();
                if found.order < *before {
                    reordered.add(row, found, listed);
                }
                *before = found.order.max(*before);
            }
        }

        Ok(Self {
            rows: Some(rows.len()),
            records: seen.values().map(|seen| seen.records).sum(),
            missing: Some(missing),
            duplicated,
            reordered: Some(reordered),
        })
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
            let mut seen: HashMap<Uuid, (log::Place, usize)> = HashMap::new();
            let visit = |id: Uuid, place: log::Place| {
                if period.contains(place.timestamp) {
                    records += 1;
                    seen.entry(id).or_insert((place, 0)).1 += 1;
                }
            };
            log::read(cluster, topic, visit).await?;

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

impl Found {
    fn add(&mut self, row: &OutboxRow, seen: Seen, listed: usize) {
        self.add_event(listed, || Event {
            id: row.id.to_string(),
            topic: or_dash(row.topic.as_deref()),
            aggregate_id: row.aggregate_id.clone(),
            event_type: Some(row.event_type.clone()),
            created_at: row.created_at.clone(),
            records: seen.records,
        });
    }

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
