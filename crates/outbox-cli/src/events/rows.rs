use std::time::Duration;

use outbox_core::Pipeline;
use outbox_core::event::AggregateType;
use outbox_core::layout::{ColumnType, EventField};
use outbox_core::record::event_identity;
use outbox_core::uuid::Uuid;
use tokio_postgres::{Client, Row};

use crate::exit::Failure;

/// A row of the outbox table, without its payload.
#[derive(Clone, Debug)]
pub(super) struct OutboxRow {
    pub(super) id: Uuid,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) event_type: String,
    pub(super) created_at: String,
    pub(super) topic: String,
}

/// Reads the rows of a span of time, the oldest first.
pub(super) async fn within(
    client: &Client,
    pipeline: &Pipeline,
    last: Duration,
    settled: Duration,
) -> Result<Vec<OutboxRow>, Failure> {
    let Some((created_at, now)) = created_at(pipeline) else {
        return Err(Failure::usage("the table has no column for the time of an event"));
    };
    let id = column(pipeline, EventField::Id)?;
    let sql = format!(
        "{} WHERE {created_at} BETWEEN {now} - make_interval(secs => $1) AND {now} - make_interval(secs => $2)
         ORDER BY {created_at}, {id}",
        select(pipeline)?
    );
    let rows = client.query(&sql, &[&last.as_secs_f64(), &settled.as_secs_f64()]).await.map_err(|e| unread(&e))?;
    rows.iter().map(|row| of(pipeline, row)).collect()
}

/// Reads the row of an event.
pub(super) async fn one(client: &Client, pipeline: &Pipeline, id: Uuid) -> Result<Option<OutboxRow>, Failure> {
    let sql = format!("{} WHERE {}::text = $1", select(pipeline)?, column(pipeline, EventField::Id)?);
    let row = client.query_opt(&sql, &[&id.to_string()]).await.map_err(|e| unread(&e))?;
    row.map(|row| of(pipeline, &row)).transpose()
}

fn select(pipeline: &Pipeline) -> Result<String, Failure> {
    let created_at = created_at(pipeline).map_or("''".to_owned(), |(name, _)| format!("{name}::text"));
    let [id, aggregate_type, aggregate_id, event_type] =
        [EventField::Id, EventField::AggregateType, EventField::AggregateId, EventField::EventType]
            .map(|field| column(pipeline, field));
    Ok(format!(
        "SELECT {}::text, {}::text, {}::text, {}::text, {created_at} FROM {}",
        id?,
        aggregate_type?,
        aggregate_id?,
        event_type?,
        pipeline.layout().qualified_name()
    ))
}

/// Returns the column of a part of an event.
pub(super) fn column(pipeline: &Pipeline, field: EventField) -> Result<String, Failure> {
    let found = pipeline.layout().columns().iter().find(|column| column.field() == Some(field));
    let found =
        found.ok_or_else(|| Failure::usage("the table lacks a column for id, aggregate or type of an event"))?;
    Ok(found.name().to_string())
}

/// Returns the column of the event's time, and the present in its type.
fn created_at(pipeline: &Pipeline) -> Option<(String, &'static str)> {
    let columns = pipeline.layout().columns();
    let found = columns.iter().find(|column| column.field() == Some(EventField::CreatedAt))?;
    let is_with_zone = found.ty() == ColumnType::Timestamptz;
    Some((
        found.name().to_string(),
        if is_with_zone { "clock_timestamp()" } else { "timezone('utc', clock_timestamp())" },
    ))
}

fn of(pipeline: &Pipeline, row: &Row) -> Result<OutboxRow, Failure> {
    let text = |index: usize| row.try_get::<_, String>(index).map_err(|e| unread(&e));
    let (id, aggregate_type) = (text(0)?, text(1)?);
    let parsed: Option<AggregateType> = aggregate_type.parse().ok();
    let topic = parsed.and_then(|parsed| pipeline.topic(&parsed).ok());
    let topic = topic.ok_or_else(|| Failure::server(format!("the row {id} has an aggregate type without a topic")))?;
    let identity = event_identity(&topic, id.as_bytes());
    let identity = identity.ok_or_else(|| Failure::server("a row of the outbox has no id"))?;
    let (aggregate_id, event_type, created_at) = (text(2)?, text(3)?, text(4)?);
    Ok(OutboxRow { id: identity, aggregate_type, aggregate_id, event_type, created_at, topic })
}

pub(super) fn unread(error: &tokio_postgres::Error) -> Failure {
    Failure::server("the outbox table cannot be read").caused_by(error)
}
