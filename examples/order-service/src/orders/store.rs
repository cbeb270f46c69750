use outbox_core::{OutboxEvent, Traceparent};
use outbox_pg::PgOutbox;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::Order;
use super::new_order::NewOrder;
use crate::events::OrderCreated;
use crate::problem::Problem;

const COLUMNS: &str = "id, customer_id, product_id, quantity, created_at";

/// Stores the order and its event in one transaction. Any error leaves neither.
pub(super) async fn insert(
    client: &mut deadpool_postgres::Client,
    outbox: &PgOutbox,
    order: NewOrder,
    traceparent: Option<Traceparent>,
) -> Result<Order, Problem> {
    let tx = client.transaction().await?;
    let sql = format!(
        "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES ($1, $2, $3) RETURNING {COLUMNS}"
    );
    let statement = tx.prepare_cached(&sql).await?;
    let order = Order::of(&tx.query_one(&statement, &[&order.customer_id, &order.product_id, &order.quantity]).await?)?;
    let event = OrderCreated {
        order_id: order.id,
        customer_id: order.customer_id,
        product_id: order.product_id,
        quantity: order.quantity,
        created_at: order.created_at,
    };
    let event = OutboxEvent::of(&event).created_at(order.created_at);
    let event = match traceparent {
        Some(traceparent) => event.traceparent(traceparent.as_str()),
        None => event,
    };
    // An error must not reach the commit: PostgreSQL would answer it with a rollback, and the driver with Ok.
    outbox.enqueue(&tx, &event.build()?).await?;
    tx.commit().await.map_err(not_committed)?;
    Ok(order)
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

pub(super) async fn newest(client: &deadpool_postgres::Client, limit: i64) -> Result<Vec<Order>, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM order_service.orders ORDER BY id DESC LIMIT $1");
    let statement = client.prepare_cached(&sql).await?;
    client.query(&statement, &[&limit]).await?.iter().map(Order::of).collect()
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
