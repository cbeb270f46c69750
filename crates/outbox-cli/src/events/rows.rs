use std::time::Duration;

use clap::Args;
use outbox_core::Pipeline;
use outbox_core::event::AggregateType;
use outbox_core::layout::{ColumnType, EventField};
use outbox_core::record::event_identity;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use tokio_postgres::{Client, Row};

use crate::exit::Failure;
use crate::replay::instant;

/// A range of time.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub(crate) struct Period {
    /// Compare the events of this time up to now
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = outbox_relay::cli::seconds)]
    last: Duration,
    /// Compare the events from this time on, as 2026-05-01T12:00:00Z, in place of --last
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "last")]
    from: Option<OffsetDateTime>,
    /// Compare the events before this time only
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<OffsetDateTime>,
    /// Leave out the rows of this time, which may be on their way
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = outbox_relay::cli::seconds)]
    settled: Duration,
}

impl Period {
    /// Returns whether a record's time, in milliseconds since 1970, is in the range.
    pub(super) fn contains(&self, timestamp: i64) -> bool {
        let millis = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let from = self.from.unwrap_or_else(|| OffsetDateTime::now_utc() - self.last);
        timestamp >= millis(from) && self.to.is_none_or(|to| timestamp < millis(to))
    }
}

/// A row of the outbox table, without its payload.
#[derive(Clone, Debug)]
pub(super) struct OutboxRow {
    pub(super) id: Uuid,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) event_type: String,
    pub(super) created_at: String,
    /// Nothing if the aggregate type cannot name a topic: such a row is never published.
    pub(super) topic: Option<String>,
}

/// Reads the rows of a range of time by the server's clock, the oldest first.
pub(super) async fn within(client: &Client, pipeline: &Pipeline, period: &Period) -> Result<Vec<OutboxRow>, Failure> {
    let Some((created_at, zone)) = created_at(pipeline) else {
        return Err(Failure::usage("the table has no column for the time of an event"));
    };

    let id = column(pipeline, EventField::Id)?;
    let [now, from, to] = ["clock_timestamp()", "$3::timestamptz", "$4::timestamptz"].map(|time| zone.of(time));
    let sql = format!(
        "{} WHERE {created_at} >= coalesce({from}, {now} - make_interval(secs => $1))
             AND {created_at} <= {now} - make_interval(secs => $2) AND {created_at} < coalesce({to}, 'infinity')
         ORDER BY {created_at}, {id}",
        select(pipeline)?
    );
    let (last, settled) = (period.last.as_secs_f64(), period.settled.as_secs_f64());
    let rows = client.query(&sql, &[&last, &settled, &period.from, &period.to]).await.map_err(|e| unread(&e))?;
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

/// Whether a column of times has a time zone. One without has the time in UTC.
#[derive(Clone, Copy)]
enum Zone {
    With,
    Without,
}

impl Zone {
    /// Returns the SQL of a `timestamptz` in the column's type.
    fn of(self, time: &str) -> String {
        match self {
            Self::With => time.to_owned(),
            Self::Without => format!("timezone('utc', {time})"),
        }
    }
}

/// Returns the column of the event's time.
fn created_at(pipeline: &Pipeline) -> Option<(String, Zone)> {
    let columns = pipeline.layout().columns();
    let found = columns.iter().find(|column| column.field() == Some(EventField::CreatedAt))?;
    let zone = if found.ty() == ColumnType::Timestamptz { Zone::With } else { Zone::Without };
    Some((found.name().to_string(), zone))
}

fn of(pipeline: &Pipeline, row: &Row) -> Result<OutboxRow, Failure> {
    let text = |index: usize| row.try_get::<_, String>(index).map_err(|e| unread(&e));
    let (id, aggregate_type) = (text(0)?, text(1)?);
    let parsed: Option<AggregateType> = aggregate_type.parse().ok();
    let topic = parsed.and_then(|parsed| pipeline.topic(&parsed).ok());
    let identity = event_identity(topic.as_deref().unwrap_or_default(), id.as_bytes());
    let identity = identity.ok_or_else(|| Failure::server("a row of the outbox has no id"))?;
    let (aggregate_id, event_type, created_at) = (text(2)?, text(3)?, text(4)?);
    Ok(OutboxRow { id: identity, aggregate_type, aggregate_id, event_type, created_at, topic })
}

pub(super) fn unread(error: &tokio_postgres::Error) -> Failure {
    Failure::server("the outbox table cannot be read").caused_by(error)
}
