use std::time::Duration;

use clap::Args;
use futures_util::TryStreamExt as _;
use outbox_core::event::AggregateType;
use outbox_core::layout::{ColumnType, EventField};
use outbox_core::record::event_identity;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use outbox_core::{Identifier, Pipeline};
use tokio_postgres::types::ToSql;
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

/// A row of the outbox table, without its payload. A part that the table has no column for is empty.
#[derive(Clone, Debug)]
pub(super) struct OutboxRow {
    /// The identity of the event, as records and consumers have it.
    pub(super) id: Uuid,
    /// The id as the table has it, which may be a number or another text.
    pub(super) written_id: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) event_type: String,
    pub(super) created_at: String,
    /// The topic; `None` if the aggregate type is no legal topic name, so that the row is never published.
    pub(super) topic: Option<String>,
}

/// Calls a visitor with the rows of a range of time by the server's clock, the oldest first. One row is in memory at a
/// time.
pub(super) async fn within(
    client: &Client,
    pipeline: &Pipeline,
    period: &Period,
    mut visitor: impl FnMut(OutboxRow),
) -> Result<(), Failure> {
    let Some(created_at) = created_at(pipeline) else {
        return Err(Failure::usage(
            "the table has no column for the time of an event: set table.field.event.timestamp",
        ));
    };

    let id = column(pipeline, EventField::Id)?;
    let [now, from, to] =
        ["clock_timestamp()", "$3::timestamptz", "$4::timestamptz"].map(|time| created_at.bound(time));
    let time = created_at.expression();
    let sql = format!(
        "{} WHERE {time} >= coalesce({from}, {now} - make_interval(secs => $1))
             AND {time} <= {now} - make_interval(secs => $2) AND {time} < coalesce({to}, 'infinity')
         ORDER BY {time}, {id}",
        select(pipeline)?
    );
    let (last, settled) = (period.last.as_secs_f64(), period.settled.as_secs_f64());
    let parameters: [&(dyn ToSql + Sync); 4] = [&last, &settled, &period.from, &period.to];
    created_at.prepare(client).await.map_err(|e| unread(&e))?;
    let rows = client.query_raw(&sql, parameters).await.map_err(|e| unread(&e))?;

    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.try_next().await.map_err(|e| unread(&e))? {
        visitor(of(pipeline, &row)?);
    }
    Ok(())
}

/// Reads the row of an event, by the text of its id.
pub(super) async fn one(client: &Client, pipeline: &Pipeline, id: &str) -> Result<Option<OutboxRow>, Failure> {
    let found = pipeline.layout().columns().iter().find(|column| column.field() == Some(EventField::Id));
    let column = column(pipeline, EventField::Id)?;

    // The parameter has the column's type, so that PostgreSQL uses an index.
    let condition = match found.map(outbox_core::layout::Column::ty) {
        Some(ColumnType::Uuid) if id.parse::<Uuid>().is_ok() => format!("{column} = $1::text::uuid"),
        Some(ColumnType::Bigint | ColumnType::Integer) if id.parse::<i64>().is_ok() => {
            format!("{column} = $1::text::int8")
        }
        Some(ColumnType::Varchar(_)) => format!("{column} = $1::text"),
        _ => format!("{column}::text = $1"),
    };
    let row = client.query_opt(&format!("{} WHERE {condition}", select(pipeline)?), &[&id]).await;
    row.map_err(|e| unread(&e))?.map(|row| of(pipeline, &row)).transpose()
}

fn select(pipeline: &Pipeline) -> Result<String, Failure> {
    let time = created_at(pipeline).map(|created_at| created_at.column);
    let parts = [EventField::AggregateType, EventField::AggregateId, EventField::EventType];
    let parts = parts.map(|field| column(pipeline, field).ok());
    let [aggregate_type, aggregate_id, event_type, time] = [&parts[0], &parts[1], &parts[2], &time]
        .map(|column| column.as_ref().map_or("''::text".to_owned(), |column| format!("coalesce({column}::text, '')")));
    let id = column(pipeline, EventField::Id)?;
    let table = pipeline.layout().qualified_name();
    Ok(format!("SELECT {id}::text, {aggregate_type}, {aggregate_id}, {event_type}, {time} FROM {table}"))
}

/// Returns the column of a part of an event.
pub(super) fn column(pipeline: &Pipeline, field: EventField) -> Result<String, Failure> {
    let found = pipeline.layout().columns().iter().find(|column| column.field() == Some(field));
    let found =
        found.ok_or_else(|| Failure::usage("the table lacks a column for id, aggregate or type of an event"))?;
    Ok(found.name().to_string())
}

/// The column of the event's time.
struct TimeColumn {
    column: String,
    zone: Zone,
}

/// Whether a column of times has a time zone. One without has the time in UTC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    With,
    Without,
    /// The column is not in the model.
    Unknown,
}

impl TimeColumn {
    /// Lets the session take a time without a zone for one in UTC.
    async fn prepare(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        match self.zone {
            Zone::Unknown => client.batch_execute("SET TIME ZONE 'UTC'").await,
            Zone::With | Zone::Without => Ok(()),
        }
    }

    /// Returns the SQL of the column's time.
    fn expression(&self) -> String {
        match self.zone {
            Zone::Unknown => format!("{}::timestamptz", self.column),
            Zone::With | Zone::Without => self.column.clone(),
        }
    }

    /// Returns the SQL of a `timestamptz` in the type of the expression.
    fn bound(&self, time: &str) -> String {
        match self.zone {
            Zone::With | Zone::Unknown => time.to_owned(),
            Zone::Without => format!("timezone('utc', {time})"),
        }
    }
}

/// Returns the column of the event's time: the model's, or that of the router's options.
fn created_at(pipeline: &Pipeline) -> Option<TimeColumn> {
    let columns = pipeline.layout().columns();
    if let Some(found) = columns.iter().find(|column| column.field() == Some(EventField::CreatedAt)) {
        let zone = if found.ty() == ColumnType::Timestamptz { Zone::With } else { Zone::Without };
        return Some(TimeColumn { column: found.name().to_string(), zone });
    }
    let mut keys = pipeline.config().iter();
    let (_, name) = keys.find(|(key, _)| key.ends_with(".table.field.event.timestamp"))?;
    let column = Identifier::new(name.trim()).ok()?.to_string();
    Some(TimeColumn { column, zone: Zone::Unknown })
}

fn of(pipeline: &Pipeline, row: &Row) -> Result<OutboxRow, Failure> {
    let text = |index: usize| row.try_get::<_, String>(index).map_err(|e| unread(&e));
    let (id, aggregate_type) = (text(0)?, text(1)?);
    let parsed: Option<AggregateType> = aggregate_type.parse().ok();
    let topic = parsed.and_then(|parsed| pipeline.topic(&parsed).ok());
    let identity = event_identity(topic.as_deref().unwrap_or_default(), id.as_bytes());
    let identity = identity.ok_or_else(|| Failure::server("a row of the outbox has no id"))?;
    let (aggregate_id, event_type, created_at) = (text(2)?, text(3)?, text(4)?);
    Ok(OutboxRow { id: identity, written_id: id, aggregate_type, aggregate_id, event_type, created_at, topic })
}

/// Reads an event's id. A UUID is written as PostgreSQL writes it.
pub(super) fn event_id(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        text => Ok(text.parse::<Uuid>().map_or_else(|_| text.to_owned(), |id| id.to_string())),
    }
}

pub(super) fn unread(error: &tokio_postgres::Error) -> Failure {
    Failure::server("the outbox table cannot be read").caused_by(error)
}
