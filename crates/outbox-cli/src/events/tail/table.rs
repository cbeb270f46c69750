use std::collections::{HashMap, HashSet};
use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::connector::IncludedMessages;
use outbox_core::layout::EventField;
use outbox_wal::{Lsn, Message, Tuple, TupleData};
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::super::rows;
use super::event::{Place, Printer, TailedEvent};
use crate::exit::Failure;
use crate::postgres::end_with_program;
use crate::slot::commit_time;

/// The time between two reads of a slot that had nothing.
const POLL: Duration = Duration::from_millis(300);
/// The changes of one read; a transaction is read as a whole.
const CHANGES: i32 = 1_000;

/// Returns the aggregate types of the table's rows.
pub(super) async fn aggregate_types(client: &Client, pipeline: &Pipeline) -> Result<Vec<String>, Failure> {
    let column = rows::column(pipeline, EventField::AggregateType)?;
    let sql = format!("SELECT DISTINCT {column}::text FROM {} ORDER BY 1", pipeline.layout().qualified_name());
    let found = client.query(&sql, &[]).await.map_err(|e| rows::unread(&e))?;
    found.iter().map(|row| row.try_get(0).map_err(|e| rows::unread(&e))).collect()
}

/// Prints the last rows of the table, and then those that are committed, in the order of their commits; without a
/// table, the messages that are committed.
///
/// A temporary slot, which PostgreSQL drops with the connection, decodes the WAL. Therefore rows that are deleted on
/// insert are printed as well.
pub(super) async fn tail(
    client: &Client,
    pipeline: &Pipeline,
    last: Option<u64>,
    ends: bool,
    limit: Duration,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let slot = TemporarySlot::create(client, pipeline, limit).await?;
    // Rows that are in the table now may be committed after the slot's start as well.
    let mut printed = HashSet::new();
    if let Some(last) = last {
        for event in latest(client, pipeline, last).await? {
            printed.extend(event.id.clone());
            if printer.print(event)?.is_break() {
                return Ok(());
            }
        }
    }

    let mut decoder = Decoder { pipeline, messages: slot.messages.clone(), columns: HashMap::new(), commit: None };
    loop {
        let messages = slot.read(limit).await?;
        for message in &messages {
            let message = Message::decode(message).map_err(|e| {
                Failure::server("PostgreSQL sent a message of pgoutput that cannot be read").caused_by(&e)
            })?;
            let event = decoder.event(&message).filter(|event| event.id.as_ref().is_none_or(|id| !printed.remove(id)));
            if let Some(event) = event
                && printer.print(event)?.is_break()
            {
                return Ok(());
            }
        }
        if messages.is_empty() {
            if ends {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Reads the last rows of the table, the oldest first.
async fn latest(client: &Client, pipeline: &Pipeline, count: u64) -> Result<Vec<TailedEvent>, Failure> {
    let fields = [EventField::Id, EventField::AggregateType, EventField::AggregateId, EventField::EventType];
    let [id, aggregate_type, aggregate_id, event_type] = fields.map(|field| rows::column(pipeline, field));
    let id = id?;
    let payload = optional(pipeline, EventField::Payload);
    let created_at = optional(pipeline, EventField::CreatedAt);
    let table = pipeline.layout().qualified_name();
    let sql = format!(
        "SELECT {id}::text, {}::text, {}::text, {}::text, {created_at}, {payload} FROM {table} ORDER BY {id} DESC LIMIT $1",
        aggregate_type?, aggregate_id?, event_type?,
    );

    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let found = client.query(&sql, &[&count]).await.map_err(|e| rows::unread(&e))?;
    let event = |row: &tokio_postgres::Row| -> Result<TailedEvent, tokio_postgres::Error> {
        let at: Option<String> = row.try_get(4)?;
        Ok(TailedEvent {
            id: row.try_get(0)?,
            aggregate_type: row.try_get(1)?,
            aggregate_id: row.try_get(2)?,
            event_type: row.try_get(3)?,
            at: at.unwrap_or_default(),
            place: Place::Row { table: table.clone() },
            payload: row.try_get(5)?,
            error: None,
        })
    };

    found.iter().rev().map(event).collect::<Result<_, _>>().map_err(|e| rows::unread(&e))
}

/// Returns a column's text in SQL, or NULL if the table does not have it.
fn optional(pipeline: &Pipeline, field: EventField) -> String {
    let column = pipeline.layout().columns().iter().find(|column| column.field() == Some(field));
    column.map_or_else(|| "NULL::text".to_owned(), |column| format!("{}::text", column.name()))
}

/// A slot of this connection.
struct TemporarySlot<'a> {
    client: &'a Client,
    name: String,
    publication: String,
    /// The messages that are events, if there is no table.
    messages: Option<IncludedMessages>,
}

impl<'a> TemporarySlot<'a> {
    /// Creates a slot that PostgreSQL drops when the connection ends, so that an aborted command retains no WAL. The
    /// creation waits for open transactions, at most for `limit`.
    async fn create(client: &'a Client, pipeline: &Pipeline, limit: Duration) -> Result<Self, Failure> {
        let refused = "no temporary slot can be created, which needs REPLICATION and a free replication slot";
        bound_server(client, limit).await.map_err(|e| Failure::server(refused).caused_by(&e))?;

        let sql = "SELECT slot_name::text FROM pg_create_logical_replication_slot(
                       'outbox_tail_' || pg_backend_pid(), 'pgoutput', true)";
        let created = tokio::time::timeout(limit, client.query_one(sql, &[])).await;
        let created = created.map_err(|_| {
            let seconds = limit.as_secs_f64();
            Failure::server(format!("{refused}: transactions that were open have not ended within {seconds} s"))
        })?;
        let row = created.map_err(|e| Failure::server(refused).caused_by(&e))?;
        let name = row.try_get(0).map_err(|e| Failure::server(refused).caused_by(&e))?;
        let messages = match pipeline.layout().row_life().has_table() {
            true => None,
            false => Some(pipeline.config().included_messages().map_err(|e| {
                Failure::usage("the messages of the connector's configuration cannot be read").caused_by(&e)
            })?),
        };

        Ok(Self { client, name, publication: pipeline.publication().to_string(), messages })
    }

    /// Returns the next messages of pgoutput; there are none if nothing was committed.
    async fn read(&self, limit: Duration) -> Result<Vec<Vec<u8>>, Failure> {
        let unread = |e: &(dyn std::error::Error + 'static)| Failure::server("the WAL cannot be decoded").caused_by(e);
        let messages = if self.messages.is_some() { ", 'messages', 'true'" } else { "" };
        let sql = format!(
            "SELECT data FROM pg_logical_slot_get_binary_changes(
                 $1, NULL, $2, 'proto_version', '1', 'publication_names', $3{messages})"
        );
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.name, &CHANGES, &self.publication];
        let read = self.client.query(&sql, &parameters);
        let rows = tokio::time::timeout(limit, read).await.map_err(|e| unread(&e))?.map_err(|e| unread(&e))?;
        rows.iter().map(|row| row.try_get(0).map_err(|e| unread(&e))).collect()
    }
}

/// Limits how long the server works for a client that no longer waits: the creation of a slot waits for open
/// transactions.
async fn bound_server(client: &Client, limit: Duration) -> Result<(), tokio_postgres::Error> {
    end_with_program(client).await;
    // This limit is longer than the client's own, because the client's error says more.
    let limit = limit.saturating_add(Duration::from_secs(1)).as_millis();
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    client.batch_execute(&format!("SET statement_timeout = {limit}")).await
}

/// Converts changes of the outbox table, or messages, into events.
struct Decoder<'a> {
    pipeline: &'a Pipeline,
    messages: Option<IncludedMessages>,
    /// The fields that the columns of the outbox table hold, by the OID of the table.
    columns: HashMap<u32, Vec<Option<EventField>>>,
    /// Position and time of the transaction's commit.
    commit: Option<(Lsn, i64)>,
}

impl Decoder<'_> {
    /// Returns the event of a message of pgoutput, if it is an insert into the outbox or a logical message of it.
    /// Remembers the transactions and columns that the later messages refer to.
    fn event(&mut self, message: &Message<'_>) -> Option<TailedEvent> {
        match message {
            Message::Begin { commit, micros, .. } => self.commit = Some((*commit, *micros)),
            Message::Relation(relation) => {
                let layout = self.pipeline.layout();
                if relation.schema == layout.schema().as_str() && relation.name == layout.table().as_str() {
                    let columns = relation.columns.iter().map(|column| {
                        let known = layout.columns().iter().find(|known| known.name().as_str() == column.name);
                        known.and_then(outbox_core::layout::Column::field)
                    });
                    self.columns.insert(relation.id, columns.collect());
                }
            }
            Message::Insert { relation, new } => return self.row(*relation, new),
            Message::Logical { transactional, lsn, prefix, content } => {
                let is_event = self.messages.as_ref().is_some_and(|included| included.contains(prefix));
                // A message outside a transaction has no time.
                let commit = self.commit.filter(|_| *transactional);
                return is_event.then(|| self.message(commit, *lsn, content));
            }
            _ => {}
        }
        None
    }

    /// Reads the members of a message's JSON by the names of the layout's columns.
    fn message(&self, commit: Option<(Lsn, i64)>, lsn: Lsn, content: &[u8]) -> TailedEvent {
        let (lsn, at) = commit.map_or((lsn, String::new()), |(lsn, micros)| (lsn, commit_time(micros)));
        let mut event =
            TailedEvent { at, place: Place::Change { commit_lsn: lsn.to_string() }, ..TailedEvent::default() };
        let Ok(mut members) = serde_json::from_slice::<serde_json::Map<String, Value>>(content) else {
            return TailedEvent { error: Some("the content of the message is no JSON object".to_owned()), ..event };
        };

        for column in self.pipeline.layout().columns() {
            let (Some(field), Some(value)) = (column.field(), members.remove(column.name().as_str())) else { continue };
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            event.set(field, text);
        }
        event
    }

    fn row(&self, relation: u32, row: &Tuple<'_>) -> Option<TailedEvent> {
        let ((commit, micros), columns) = (self.commit?, self.columns.get(&relation)?);
        let place = Place::Change { commit_lsn: commit.to_string() };
        let mut event = TailedEvent { at: commit_time(micros), place, ..TailedEvent::default() };
        for (field, value) in columns.iter().zip(row.data()) {
            let (Some(field), TupleData::Text(text)) = (field, value) else { continue };
            event.set(*field, String::from_utf8_lossy(text).into_owned());
        }
        Some(event)
    }
}
