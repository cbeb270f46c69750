use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use outbox_kafka_consumer::{HandlerError, HandlerResult, Received};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bounded::{FromText, Limit};
use crate::events::OrderCreated;
use crate::problem::Problem;
use crate::state::AppState;

/// The header of events that the handler fails at, in a demonstration.
pub(crate) const POISON: &str = "poison";

/// An event as the consumer got it.
#[derive(Debug, Serialize)]
struct ReceivedEvent {
    event_id: Uuid,
    event_type: String,
    aggregate_id: String,
    /// The text of the payload as it arrived: parsed and written again, large numbers would change.
    payload: Box<RawValue>,
    topic: String,
    partition: i32,
    offset: i64,
    /// From the event's creation until it was handled.
    latency_ms: Option<i64>,
}

/// The state of the consumer's handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    /// In a demonstration, whether it can handle poison events.
    handles_poison: Option<Arc<watch::Sender<bool>>>,
}

impl Handler {
    pub(crate) fn with_switch(handles_poison: Arc<watch::Sender<bool>>) -> Self {
        Self { handles_poison: Some(handles_poison) }
    }

    /// Fails at a poison event, until the demonstration's handler is repaired.
    fn check(&self, event: &Received<OrderCreated>) -> HandlerResult {
        let is_poison = event.envelope().headers.get(POISON).is_some();
        match &self.handles_poison {
            Some(works) if is_poison && !*works.borrow() => Err(HandlerError::reject(
                "the handler has a defect that this event meets: repair the handler, then retry",
            )),
            _ => Ok(()),
        }
    }
}

/// Handles an event: keeps it, in the transaction that also marks it as handled.
pub(crate) async fn record(
    handler: &Handler,
    tx: &deadpool_postgres::Transaction<'_>,
    event: Received<OrderCreated>,
) -> HandlerResult {
    let read_at = OffsetDateTime::now_utc();
    handler.check(&event)?;

    // Within a group each event comes once. A group of another name (CONSUMER_GROUP) reads all of them again.
    let sql = "INSERT INTO order_service.received_event
                   (event_id, event_type, aggregate_id, payload, topic, partition, record_offset, created_at, read_at)
               VALUES ($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9)
               ON CONFLICT (event_id) DO NOTHING";
    let statement = tx.prepare_cached(sql).await?;
    let (envelope, order) = (event.envelope(), event.event().order_id);
    tx.execute(
        &statement,
        &[
            &envelope.id,
            &envelope.event_type.as_deref().unwrap_or_default(),
            &envelope.aggregate_id.as_deref().unwrap_or_default(),
            &envelope.payload.as_text().unwrap_or("null"),
            &event.topic(),
            &event.partition(),
            &event.offset(),
            &envelope.created_at,
            &read_at,
        ],
    )
    .await?;

    // The span of the handler names the event and its place in the topic.
    tracing::info!(order, "event received");
    Ok(())
}

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/received", get(list)).route("/received/", get(list))
}

async fn list(
    State(state): State<AppState>,
    query: Result<Query<Newest>, QueryRejection>,
) -> Result<Json<Vec<ReceivedEvent>>, Problem> {
    let limit = query?.0.limit.0.get();
    let client = state.pool.get().await?;
    let sql = "SELECT event_id, event_type, aggregate_id, payload::text, topic, partition, record_offset,
                      round(extract(epoch FROM handled_at - created_at) * 1000)::bigint
               FROM order_service.received_event ORDER BY handled_at DESC, event_id DESC LIMIT $1";
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, &[&limit]).await?.iter().map(ReceivedEvent::of).collect::<Result<_, _>>().map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    #[serde(default)]
    limit: FromText<Limit>,
}

impl ReceivedEvent {
    fn of(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            event_id: row.try_get(0)?,
            event_type: row.try_get(1)?,
            aggregate_id: row.try_get(2)?,
            payload: RawValue::from_string(row.try_get(3)?).map_err(Problem::internal)?,
            topic: row.try_get(4)?,
            partition: row.try_get(5)?,
            offset: row.try_get(6)?,
            latency_ms: row.try_get(7)?,
        })
    }
}
