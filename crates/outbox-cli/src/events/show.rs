use outbox_core::record::event_identity;
use outbox_core::uuid::Uuid;
use outbox_core::{Identifier, Pipeline};
use outbox_kafka_consumer::outbox_kafka::Cluster;
use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::rows;
use super::rows::OutboxRow;
use super::topics::{RecordPlace, no_topics, read_records};
use crate::exit::Failure;
use crate::output::{Part, Report, or_dash};

/// The way of one event.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    row: RowState,
    /// The topics that were searched.
    topics: Vec<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    event_type: Option<String>,
    created_at: Option<String>,
    records: Vec<ShownRecord>,
    groups: Vec<GroupState>,
}

/// The event in the outbox table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum RowState {
    Present,
    /// Retention has removed it, or it was never committed.
    Missing,
    /// Rows are not kept, so it is not known whether the event was committed.
    Unknown,
}

#[derive(Serialize)]
struct ShownRecord {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: String,
    wal_position: Option<String>,
}

/// The state of the event in a consumer group.
#[derive(Serialize)]
struct GroupState {
    group: String,
    /// `handled`, `parked` or `dead`.
    state: String,
    at: String,
    attempts: Option<i32>,
    error: Option<String>,
}

impl Shown {
    /// Looks up the row of an event, its records in these topics, and its state in the groups.
    pub(super) async fn find(
        client: &Client,
        cluster: &Cluster,
        pipeline: &Pipeline,
        schema: &Identifier,
        id: &str,
        topics: Vec<String>,
    ) -> Result<Self, Failure> {
        let keeps_rows = pipeline.layout().row_life().keeps_rows();
        let row = if keeps_rows { rows::one(client, pipeline, id).await? } else { None };
        let topics = match &row {
            Some(row) => row.topic.iter().cloned().collect(),
            None if !topics.is_empty() => topics,
            None if keeps_rows => {
                let message = format!("the table has no event {id}; --topic or --aggregate-type looks for its record");
                return Err(Failure::not_found(message));
            }
            None => return Err(no_topics()),
        };

        let mut records = Vec::new();
        for topic in &topics {
            let visit = |found: Uuid, place: RecordPlace| {
                if event_identity(topic, id.as_bytes()) == Some(found) {
                    let timestamp = place.time();
                    let RecordPlace { partition, offset, wal_position, .. } = place;
                    records.push(ShownRecord { topic: topic.clone(), partition, offset, timestamp, wal_position });
                }
            };
            read_records(cluster, topic, visit).await?;
        }

        let identities = topics.iter().filter_map(|topic| event_identity(topic, id.as_bytes()));
        let groups = groups(client, schema, &identities.map(|id| id.to_string()).collect::<Vec<_>>()).await?;
        let state = match &row {
            Some(_) => RowState::Present,
            None if keeps_rows => RowState::Missing,
            None => RowState::Unknown,
        };

        let part = |part: fn(&OutboxRow) -> &String| row.as_ref().map(part).cloned();
        Ok(Self {
            id: id.to_owned(),
            row: state,
            topics,
            aggregate_type: part(|row| &row.aggregate_type),
            aggregate_id: part(|row| &row.aggregate_id),
            event_type: part(|row| &row.event_type),
            created_at: part(|row| &row.created_at),
            records,
            groups,
        })
    }

    pub(super) fn is_published(&self) -> bool {
        !self.records.is_empty()
    }
}

/// Reads the state of the event in the groups whose tables are in this database. Without these tables there are no
/// groups.
async fn groups(client: &Client, schema: &Identifier, ids: &[String]) -> Result<Vec<GroupState>, Failure> {
    let unread = |e| Failure::server("the consumer's tables cannot be read").caused_by(&e);
    let table = format!("{schema}.consumer_inbox");
    let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(unread)?;

    if !row.try_get::<_, bool>(0).map_err(unread)? {
        return Ok(Vec::new());
    }

    let sql = format!(
        "SELECT i.consumer_group, i.state, coalesce(h.last_failed_at, i.handled_at)::text, h.attempts, h.error
         FROM (SELECT DISTINCT consumer_group FROM {schema}.consumer_position) g
         JOIN {schema}.consumer_inbox i ON i.consumer_group = g.consumer_group AND i.event_id = ANY ($1::text[]::uuid[])
         LEFT JOIN {schema}.consumer_held h ON h.consumer_group = i.consumer_group AND h.event_id = i.event_id
         ORDER BY i.consumer_group"
    );
    let rows = client.query(&sql, &[&ids]).await.map_err(unread)?;
    let of = |row: &Row| -> Result<GroupState, tokio_postgres::Error> {
        Ok(GroupState {
            group: row.try_get(0)?,
            state: row.try_get(1)?,
            at: row.try_get(2)?,
            attempts: row.try_get(3)?,
            error: row.try_get(4)?,
        })
    };

    rows.iter().map(of).collect::<Result<_, _>>().map_err(unread)
}

impl Report for Shown {
    fn parts(&self) -> Vec<Part> {
        let (state, detail) = match self.row {
            RowState::Present => ("written", or_dash(self.event_type.as_deref())),
            RowState::Missing => ("no row", "retention has removed it, or it was never committed".to_owned()),
            RowState::Unknown => {
                ("not known", "rows are not kept, so only a record shows that the event was committed".to_owned())
            }
        };
        let mut rows = vec![vec!["table".to_owned(), or_dash(self.created_at.as_deref()), state.to_owned(), detail]];
        rows.extend(self.records.iter().map(|record| {
            let wal = record.wal_position.as_ref().map(|wal| format!(", WAL position {wal}")).unwrap_or_default();
            let place = format!("partition {}, offset {}{wal}", record.partition, record.offset);
            vec![format!("topic {}", record.topic), record.timestamp.clone(), "published".to_owned(), place]
        }));

        if self.records.is_empty() {
            let detail = match self.row {
                RowState::Unknown => "not published yet (outbox slot show), never committed, or removed by retention",
                _ if self.topics.is_empty() => "the aggregate type cannot name a topic: no reader can publish the row",
                _ => "-",
            };
            rows.push(vec![
                format!("topic {}", or_dash(Some(&self.topics.join(", ")))),
                "-".to_owned(),
                "no record".to_owned(),
                detail.to_owned(),
            ]);
        }

        rows.extend(self.groups.iter().map(|group| {
            let attempts = group.attempts.map(|attempts| format!("after {attempts} attempts: ")).unwrap_or_default();
            let detail = group.error.as_ref().map_or("-".to_owned(), |error| attempts + error);
            vec![format!("group {}", group.group), group.at.clone(), group.state.clone(), detail]
        }));

        let aggregate = match (&self.aggregate_type, &self.aggregate_id) {
            (Some(ty), Some(id)) => format!(" of {ty} {id}"),
            _ => String::new(),
        };
        let event = format!("event {}{aggregate}", self.id);
        vec![Part::Line(event), Part::Table { head: &["where", "at", "what", "detail"], rows }]
    }
}
