use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use outbox_core::connector::IncludedMessages;
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_core::time::{Duration, OffsetDateTime};
use outbox_core::{ConnectorConfig, Identifier};
use outbox_wal::{Lsn, Message, Tuple, TupleData};
use serde::Serialize;
use tokio_postgres::Client;

use crate::exit::Failure;
use crate::output::Part;
use crate::postgres::end_with_program;

/// The zero of PostgreSQL's time, 2000-01-01, in seconds since 1970.
const EPOCH: i64 = 946_684_800;

/// The events that a slot has still to send.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Unpublished {
    pub(crate) count: u64,
    /// The time at which the first of them was committed.
    pub(crate) oldest_committed_at: Option<String>,
    /// The first of them, up to the limit.
    first: Vec<UnpublishedEvent>,
}

/// An event in the WAL. A part that the table does not have is empty.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct UnpublishedEvent {
    id: String,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    committed_at: String,
    commit_lsn: String,
}

/// The changes that the reader of a slot treats as events: the rows of its publication, and logical decoding messages.
#[derive(Clone, Debug)]
pub(crate) struct EventSource {
    publication: Identifier,
    messages: Option<IncludedMessages>,
}

/// The publication of a connector that names none.
const DEFAULT_PUBLICATION: &str = "dbz_publication";

impl EventSource {
    /// Reads the source from a connector's configuration, unless an option names the publication.
    pub(crate) fn new(config: &ConnectorConfig, publication: Option<&Identifier>) -> Result<Self, Failure> {
        let configured = || {
            let name = config.get("publication.name").map_or(DEFAULT_PUBLICATION, str::trim);
            let unusable = |e| Failure::usage(format!("the publication.name {name} cannot be used")).caused_by(&e);
            Identifier::new(name).map_err(unusable)
        };
        let publication = publication.map_or_else(configured, |name| Ok(name.clone()))?;
        let messages = config.message_router().map(|_| config.included_messages()).transpose();
        let messages = messages.map_err(|e| {
            Failure::usage("the messages of the connector's configuration cannot be counted").caused_by(&e)
        })?;
        Ok(Self { publication, messages })
    }
}

/// The selection of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub(crate) slot: &'a str,
    pub(crate) source: &'a EventSource,
    /// Only events that commit before this position; all events without it.
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
        // PostgreSQL has the option since version 14.
        let messages = if range.source.messages.is_some() { ", 'messages', 'true'" } else { "" };
        let sql = format!(
            "SELECT data FROM pg_logical_slot_peek_binary_changes(
                 $1, $2::text::pg_lsn, NULL, 'proto_version', '1', 'publication_names', $3{messages})"
        );
        let (before, publication) = (range.before.map(|lsn| lsn.to_string()), range.source.publication.to_string());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&range.slot, &before, &publication];
        end_with_program(client).await;
        let rows = client.query_raw(&sql, parameters).await.map_err(unread)?;

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
    /// Adds the event of a message of pgoutput, or remembers the transaction and the columns that the later messages
    /// refer to.
    fn take(&mut self, message: &Message<'_>) {
        match message {
            Message::Begin { commit, micros, .. } => self.commit = Some((*commit, *micros)),
            Message::Relation(relation) => {
                let names = relation.columns.iter().map(|column| column.name.to_owned()).collect();
                self.names.insert(relation.id, names);
            }
            Message::Insert { relation, new } => {
                let names = self.names.get(relation).map(Vec::as_slice).unwrap_or_default();
                if let Some((commit, micros)) = self.commit {
                    self.add(commit, commit_time(micros), UnpublishedEvent::of_row(names, new));
                }
            }
            Message::Logical { transactional, lsn, prefix, content } if self.is_included(prefix) => {
                // A message outside a transaction has no time.
                let (at, time) = match self.commit.filter(|_| *transactional) {
                    Some((commit, micros)) => (commit, commit_time(micros)),
                    None => (*lsn, String::new()),
                };
                self.add(at, time, UnpublishedEvent::of_message(content));
            }
            _ => {}
        }
    }

    /// Returns whether messages of a prefix are events.
    fn is_included(&self, prefix: &str) -> bool {
        self.range.source.messages.as_ref().is_some_and(|included| included.contains(prefix))
    }

    fn add(&mut self, commit: Lsn, committed_at: String, event: UnpublishedEvent) {
        // PostgreSQL skips a transaction whose commit begins before the confirmed position.
        if self.range.before.is_some_and(|before| commit >= before) {
            return;
        }
        self.found.count += 1;
        self.found.oldest_committed_at.get_or_insert_with(|| committed_at.clone());
        if self.found.first.len() < self.range.listed {
            let commit_lsn = commit.to_string();
            self.found.first.push(UnpublishedEvent { committed_at, commit_lsn, ..event });
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
    fn of_row(names: &[String], row: &Tuple<'_>) -> Self {
        let mut event = Self::default();
        for (name, value) in names.iter().zip(row.data()) {
            if let TupleData::Text(text) = value {
                event.set(name, &String::from_utf8_lossy(text));
            }
        }
        event
    }

    /// Reads the members of a message's JSON. A content that is no object has none.
    fn of_message(content: &[u8]) -> Self {
        let mut event = Self::default();
        let members: HashMap<String, serde_json::Value> = serde_json::from_slice(content).unwrap_or_default();
        for (name, value) in &members {
            event.set(name, value.as_str().unwrap_or_default());
        }
        event
    }

    /// Reads the columns of the recommended table and of Debezium's table, except for the payload.
    fn set(&mut self, column: &str, text: &str) {
        let part = match column {
            "id" => &mut self.id,
            "aggregate_type" | "aggregatetype" => &mut self.aggregate_type,
            "aggregate_id" | "aggregateid" => &mut self.aggregate_id,
            "event_type" | "type" => &mut self.event_type,
            _ => return,
        };
        text.clone_into(part);
    }

    fn row(&self) -> Vec<String> {
        [&self.id, &self.aggregate_type, &self.aggregate_id, &self.event_type, &self.committed_at, &self.commit_lsn]
            .map(Clone::clone)
            .to_vec()
    }
}
