use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use outbox_core::Identifier;
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_core::time::{Duration, OffsetDateTime};
use outbox_wal::{Lsn, Message, Tuple, TupleData};
use serde::Serialize;
use tokio_postgres::Client;

use crate::exit::Failure;
use crate::output::Part;

/// The zero of PostgreSQL's time, 2000-01-01, in seconds since 1970.
const EPOCH: i64 = 946_684_800;

/// The events that a slot has still to send.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Unpublished {
    pub(crate) count: u64,
    /// When the first of them was committed.
    pub(crate) oldest_committed_at: Option<String>,
    /// The first of them, up to the limit.
    pub(crate) first: Vec<UnpublishedEvent>,
}

/// An event in the WAL. A part that the table does not have is empty.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct UnpublishedEvent {
    pub(crate) id: String,
    pub(crate) aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) event_type: String,
    pub(crate) committed_at: String,
    pub(crate) commit_lsn: String,
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub(crate) slot: &'a str,
    pub(crate) publication: &'a Identifier,
    /// Those that commit before this position; all of them without it.
    pub(crate) before: Option<Lsn>,
    /// The largest number of events in the list.
    pub(crate) listed: usize,
}

impl Unpublished {
    /// Decodes the WAL from the slot's confirmed position on. It neither moves the slot nor changes anything.
    ///
    /// PostgreSQL writes what it decodes into temporary files first, so a large backlog takes time.
    pub(crate) async fn read(client: &Client, range: Range<'_>) -> Result<Self, Failure> {
        let unread = |e: tokio_postgres::Error| {
            let message = format!("the events that the slot {} has still to send cannot be counted", range.slot);
            Failure::server(message).caused_by(&e)
        };
        let sql = "SELECT data FROM pg_logical_slot_peek_binary_changes(
                       $1, $2::text::pg_lsn, NULL, 'proto_version', '1', 'publication_names', $3)";
        let (before, publication) = (range.before.map(|lsn| lsn.to_string()), range.publication.to_string());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&range.slot, &before, &publication];
        let rows = client.query_raw(sql, parameters).await.map_err(unread)?;

        let mut rows = std::pin::pin!(rows);
        let mut reading = Reading { range, found: Self::default(), names: HashMap::new(), commit: None };
        while let Some(row) = rows.try_next().await.map_err(unread)? {
            let data: Vec<u8> = row.try_get(0).map_err(unread)?;
            let message = Message::decode(&data).map_err(|e| {
                Failure::server("PostgreSQL sent a message of pgoutput that cannot be read").caused_by(&e)
            })?;
            reading.take(&message);
        }
        Ok(reading.found)
    }

    /// Returns the list for people.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let rows: Vec<_> = self.first.iter().map(UnpublishedEvent::row).collect();
        let hidden = self.count.saturating_sub(rows.len() as u64);
        let mut parts = Vec::new();
        if !rows.is_empty() {
            let head = &["id", "aggregate type", "aggregate id", "event type", "committed at", "commit lsn"];
            parts.push(Part::Table { head, rows });
        }
        if hidden > 0 && !self.first.is_empty() {
            parts.push(Part::Line(format!("… and {hidden} more (--list sets how many are shown)")));
        }
        parts
    }
}

struct Reading<'a> {
    range: Range<'a>,
    found: Unpublished,
    /// The tables' column names.
    names: HashMap<u32, Vec<String>>,
    /// Position and time of the transaction's commit.
    commit: Option<(Lsn, i64)>,
}

impl Reading<'_> {
    fn take(&mut self, message: &Message<'_>) {
        match message {
            Message::Begin { commit, micros, .. } => self.commit = Some((*commit, *micros)),
            Message::Relation(relation) => {
                let names = relation.columns.iter().map(|column| column.name.to_owned()).collect();
                self.names.insert(relation.id, names);
            }
            Message::Insert { relation, new } => self.insert(*relation, new),
            _ => {}
        }
    }

    fn insert(&mut self, relation: u32, row: &Tuple<'_>) {
        let Some((commit, micros)) = self.commit else { return };
        // PostgreSQL skips a transaction whose commit begins before the confirmed position.
        if self.range.before.is_some_and(|before| commit >= before) {
            return;
        }
        let committed_at = commit_time(micros);
        self.found.count += 1;
        self.found.oldest_committed_at.get_or_insert_with(|| committed_at.clone());
        if self.found.first.len() < self.range.listed {
            let names = self.names.get(&relation).map(Vec::as_slice).unwrap_or_default();
            let event =
                UnpublishedEvent { committed_at, commit_lsn: commit.to_string(), ..UnpublishedEvent::of(names, row) };
            self.found.first.push(event);
        }
    }
}

/// Returns the time of a commit, which pgoutput has in microseconds since 2000.
pub(crate) fn commit_time(micros: i64) -> String {
    let since_1970 = Duration::seconds(EPOCH).saturating_add(Duration::microseconds(micros));
    let at = OffsetDateTime::UNIX_EPOCH.checked_add(since_1970).and_then(|at| at.format(&Rfc3339).ok());
    at.unwrap_or_default()
}

impl UnpublishedEvent {
    /// Takes the columns of the recommended table and of Debezium's. The payload is not among them.
    fn of(names: &[String], row: &Tuple<'_>) -> Self {
        let mut event = Self::default();
        for (name, value) in names.iter().zip(row.data()) {
            let TupleData::Text(text) = value else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match name.as_str() {
                "id" => event.id = text,
                "aggregate_type" | "aggregatetype" => event.aggregate_type = text,
                "aggregate_id" | "aggregateid" => event.aggregate_id = text,
                "event_type" | "type" => event.event_type = text,
                _ => {}
            }
        }
        event
    }

    fn row(&self) -> Vec<String> {
        [&self.id, &self.aggregate_type, &self.aggregate_id, &self.event_type, &self.committed_at, &self.commit_lsn]
            .map(Clone::clone)
            .to_vec()
    }
}
