use outbox_core::time::OffsetDateTime;
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_core::uuid::Uuid;
use outbox_core::{Identifier, Pipeline};
use outbox_kafka_consumer::outbox_kafka::Cluster;
use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::{log, rows};
use crate::exit::Failure;
use crate::output::{Part, Report};

/// The way of one event.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    topic: String,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    created_at: String,
    records: Vec<ShownRecord>,
    groups: Vec<GroupState>,
}

#[derive(Serialize)]
struct ShownRecord {
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
    pub(super) async fn find(
        client: &Client,
        cluster: &Cluster,
        pipeline: &Pipeline,
        schema: &Identifier,
        id: Uuid,
    ) -> Result<Self, Failure> {
        let row = rows::one(client, pipeline, id).await?;
        let row = row.ok_or_else(|| Failure::not_found(format!("the table has no event {id}")))?;
        let mut records = Vec::new();
        let visit = |found: Uuid, place: log::Place| {
            if found == id {
                let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(place.timestamp) * 1_000_000);
                let timestamp = at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
                let log::Place { partition, offset, wal_position, .. } = place;
                records.push(ShownRecord { partition, offset, timestamp, wal_position });
            }
        };
        log::read(cluster, &row.topic, visit).await?;
        let groups = groups(client, schema, id).await?;
        Ok(Self {
            id: id.to_string(),
            topic: row.topic,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            event_type: row.event_type,
            created_at: row.created_at,
            records,
            groups,
        })
    }

    pub(super) fn is_published(&self) -> bool {
        !self.records.is_empty()
    }
}

/// Reads what the groups whose tables are in this database did. Without these tables there are none.
async fn groups(client: &Client, schema: &Identifier, id: Uuid) -> Result<Vec<GroupState>, Failure> {
    let unread = |e| Failure::server("the consumer's tables cannot be read").caused_by(&e);
    let table = format!("{schema}.consumer_inbox");
    let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(unread)?;
    if !row.try_get::<_, bool>(0).map_err(unread)? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT i.consumer_group, i.state, coalesce(h.last_failed_at, i.handled_at)::text, h.attempts, h.error
         FROM (SELECT DISTINCT consumer_group FROM {schema}.consumer_position) g
         JOIN {schema}.consumer_inbox i ON i.consumer_group = g.consumer_group AND i.event_id = $1::text::uuid
         LEFT JOIN {schema}.consumer_held h ON h.consumer_group = i.consumer_group AND h.event_id = i.event_id
         ORDER BY i.consumer_group"
    );
    let rows = client.query(&sql, &[&id.to_string()]).await.map_err(unread)?;
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
        let mut rows =
            vec![vec!["table".to_owned(), self.created_at.clone(), "written".to_owned(), self.event_type.clone()]];
        rows.extend(self.records.iter().map(|record| {
            let wal = record.wal_position.as_ref().map(|wal| format!(", WAL position {wal}")).unwrap_or_default();
            let place = format!("partition {}, offset {}{wal}", record.partition, record.offset);
            vec![format!("topic {}", self.topic), record.timestamp.clone(), "published".to_owned(), place]
        }));
        if self.records.is_empty() {
            rows.push(vec![format!("topic {}", self.topic), "-".to_owned(), "no record".to_owned(), "-".to_owned()]);
        }
        rows.extend(self.groups.iter().map(|group| {
            let attempts = group.attempts.map(|attempts| format!("after {attempts} attempts: ")).unwrap_or_default();
            let detail = group.error.as_ref().map_or("-".to_owned(), |error| attempts + error);
            vec![format!("group {}", group.group), group.at.clone(), group.state.clone(), detail]
        }));
        let event = format!("event {} of {} {}", self.id, self.aggregate_type, self.aggregate_id);
        vec![Part::Line(event), Part::Table { head: &["where", "at", "what", "detail"], rows }]
    }
}
