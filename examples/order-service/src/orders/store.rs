use axum::http::StatusCode;
use outbox_core::event::Traceparent;
use outbox_core::{Enqueued, EventId, OnDuplicate, OutboxEvent};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::order::{NewOrder, Order};
use crate::events::OrderCreated;
use crate::problem::Problem;
use crate::state::AppState;

const COLUMNS: &str = "id, customer_id, product_id, quantity, created_at";

/// The parts of the order's event that do not follow from the order.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventOptions {
    /// The id that the client has chosen, which makes the request idempotent.
    pub(crate) id: Option<EventId>,
    pub(crate) traceparent: Option<Traceparent>,
    /// The name of a header without a value.
    pub(crate) header: Option<&'static str>,
}

/// An order that is stored.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) order: Order,
    /// Whether an earlier request with the same key has stored it.
    pub(crate) is_replay: bool,
}

/// Stores the order and its event in one transaction. Any error leaves neither.
pub(crate) async fn place(state: &AppState, new: NewOrder, options: EventOptions) -> Result<Placed, Problem> {
    let mut client = state.pool.get().await?;
    let tx = client.transaction().await?;
    let (id, is_chosen) = (options.id.unwrap_or_else(EventId::new), options.id.is_some());
    let order = insert(&tx, new, id).await?;
    let event = event(&order, id, options)?;

    // An error must not reach the commit: PostgreSQL would answer it with a rollback, and the driver with Ok.
    if is_chosen {
        let outbox = state.outbox.clone().idempotent(OnDuplicate::Ignore)?;
        if outbox.enqueue(&tx, &event).await? == Enqueued::AlreadyEnqueued {
            tx.rollback().await?;
            return replay(&client, new, id).await;
        }
    } else {
        state.outbox.enqueue(&tx, &event).await?;
    }
    tx.commit().await.map_err(not_committed)?;
    Ok(Placed { order, is_replay: false })
}

async fn insert(tx: &deadpool_postgres::Transaction<'_>, new: NewOrder, event: EventId) -> Result<Order, Problem> {
    let sql = format!(
        "INSERT INTO order_service.orders (customer_id, product_id, quantity, event_id)
         VALUES ($1, $2, $3, $4) RETURNING {COLUMNS}"
    );
    let statement = tx.prepare_cached(&sql).await?;
    let (customer, product, event) = (new.customer_id.get(), new.product_id.get(), event.as_uuid());
    let quantity = i32::try_from(new.quantity.get()).map_err(Problem::internal)?;
    Order::of(&tx.query_one(&statement, &[&customer, &product, &quantity, &event]).await?)
}

fn event(order: &Order, id: EventId, options: EventOptions) -> Result<OutboxEvent, Problem> {
    let created = OrderCreated {
        order_id: order.id,
        customer_id: order.customer_id,
        product_id: order.product_id,
        quantity: order.quantity,
        created_at: order.created_at,
    };
    let mut event = OutboxEvent::from_event(&created).id(id).created_at(order.created_at);
    if let Some(traceparent) = options.traceparent {
        event = event.traceparent(traceparent.as_str());
    }

    if let Some(header) = options.header {
        event = event.header(header, "");
    }

    #[cfg(feature = "otlp")]
    let event = event.in_current_span();
    Ok(event.build()?)
}

/// Returns the order of an event that the outbox has, if it is what the request asks for.
async fn replay(client: &deadpool_postgres::Client, new: NewOrder, id: EventId) -> Result<Placed, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM order_service.orders WHERE event_id = $1");
    let statement = client.prepare_cached(&sql).await?;
    let order = client.query_opt(&statement, &[&id.as_uuid()]).await?.as_ref().map(Order::of).transpose()?;
    match order {
        Some(order) if new.is_stored_as(&order) => Ok(Placed { order, is_replay: true }),
        _ => {
            let detail = "a different request has used this key: create a new key for each order";
            Err(Problem::of_field(StatusCode::UNPROCESSABLE_ENTITY, "Idempotency-Key", detail))
        }
    }
}

/// Converts a failed COMMIT into a problem. A connection that ends before the answer to COMMIT came, by itself or by an
/// operator (class 57), leaves it unknown whether the transaction was committed.
fn not_committed(error: tokio_postgres::Error) -> Problem {
    match error.code() {
        Some(state) if !state.code().starts_with("57") => error.into(),
        _ => Problem::uncertain(error),
    }
}

pub(super) async fn find(client: &deadpool_postgres::Client, id: i64) -> Result<Option<Order>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM order_service.orders WHERE id = $1");
    let statement = client.prepare_cached(&sql).await?;
    client.query_opt(&statement, &[&id]).await?.as_ref().map(Order::of).transpose()
}

/// Returns the newest orders, or the newest ones before an order.
pub(super) async fn newest(
    client: &deadpool_postgres::Client,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Order>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM order_service.orders WHERE id < $1 ORDER BY id DESC LIMIT $2");
    let statement = client.prepare_cached(&sql).await?;
    // No order has the greatest id: an identity column would have to give out all others before.
    client.query(&statement, &[&before.unwrap_or(i64::MAX), &limit]).await?.iter().map(Order::of).collect()
}

impl Order {
    fn of(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            id: row.try_get(0)?,
            customer_id: row.try_get(1)?,
            product_id: row.try_get(2)?,
            quantity: row.try_get(3)?,
            created_at: row.try_get::<_, OffsetDateTime>(4)?,
        })
    }
}
