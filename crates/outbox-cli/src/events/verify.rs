use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::uuid::Uuid;
use outbox_kafka_consumer::outbox_kafka::Cluster;
use serde::Serialize;
use tokio_postgres::Client;

use super::log;
use super::rows::{self, OutboxRow};
use crate::exit::Failure;
use crate::output::{Part, Report};

/// The comparison of rows with records.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    rows: usize,
    missing: Found,
    duplicated: Found,
    reordered: Found,
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
    event_type: String,
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
        last: Duration,
        settled: Duration,
        listed: usize,
    ) -> Result<Self, Failure> {
        if pipeline.layout().row_life().vanishes() {
            return Err(Failure::usage(
                "the rows vanish, so there is nothing to compare: outbox slot show counts what waits",
            ));
        }
        let rows = rows::within(client, pipeline, last, settled).await?;
        let mut seen: HashMap<_, _> = rows.iter().map(|row| (row.id, Seen::default())).collect();
        let mut order = 0;
        for topic in rows.iter().map(|row| row.topic.as_str()).collect::<BTreeSet<_>>() {
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

        let mut verified = Self {
            rows: rows.len(),
            missing: Found::default(),
            duplicated: Found::default(),
            reordered: Found::default(),
        };
        // The latest place of an older event of each aggregate.
        let mut latest: HashMap<(&str, &str), u64> = HashMap::new();
        for row in &rows {
            let found = seen.get(&row.id).copied().unwrap_or_default();
            match found.records {
                0 => verified.missing.add(row, found, listed),
                1 => {}
                _ => verified.duplicated.add(row, found, listed),
            }
            if found.records > 0 {
                let before = latest.entry((row.topic.as_str(), row.aggregate_id.as_str())).or_default();
                if found.order < *before {
                    verified.reordered.add(row, found, listed);
                }
                *before = found.order.max(*before);
            }
        }
        Ok(verified)
    }

    /// Returns whether every event arrived, in its order.
    pub(super) fn is_good(&self) -> bool {
        self.missing.count == 0 && self.reordered.count == 0
    }
}

impl Found {
    fn add(&mut self, row: &OutboxRow, seen: Seen, listed: usize) {
        self.count += 1;
        if self.first.len() < listed {
            self.first.push(Event {
                id: row.id.to_string(),
                topic: row.topic.clone(),
                aggregate_id: row.aggregate_id.clone(),
                event_type: row.event_type.clone(),
                created_at: row.created_at.clone(),
                records: seen.records,
            });
        }
    }
}

impl Report for Verified {
    fn parts(&self) -> Vec<Part> {
        let row = |kind: &str, one: &Event| {
            let Event { id, topic, aggregate_id, event_type, created_at, records } = one;
            let texts = [kind, id, topic, aggregate_id, event_type, created_at].map(str::to_owned);
            texts.into_iter().chain([records.to_string()]).collect::<Vec<_>>()
        };
        let kinds = [("missing", &self.missing), ("duplicated", &self.duplicated), ("out of order", &self.reordered)];
        let rows: Vec<_> =
            kinds.iter().flat_map(|(kind, found)| found.first.iter().map(move |one| row(kind, one))).collect();
        let [missing, duplicated, reordered] = kinds.map(|(_, found)| found.count);
        let total = format!("{} rows: {missing} missing, {duplicated} duplicated, {reordered} out of order", self.rows);
        let mut parts = Vec::new();
        if !rows.is_empty() {
            let head = &["what", "id", "topic", "aggregate id", "event type", "created at", "records"];
            parts.push(Part::Table { head, rows });
        }
        parts.push(Part::Line(total));
        parts
    }
}
