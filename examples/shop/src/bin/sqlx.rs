//! Places an order in a transaction of sqlx.

use std::error::Error;

use outbox_core::{OutboxEvent, Pipeline};
use outbox_sqlx::SqlxOutbox;
use outbox_sqlx::sqlx::{self, PgPool};
use shop::OrderCreated;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS orders (id bigserial, quantity int)").execute(&pool).await?;
    let outbox = SqlxOutbox::new(Pipeline::recommended());

    let mut tx = pool.begin().await?;
    let insert = "INSERT INTO orders (quantity) VALUES (2) RETURNING id";
    let order = OrderCreated::new(sqlx::query_scalar(insert).fetch_one(&mut *tx).await?, 2);
    outbox.enqueue(&mut tx, &OutboxEvent::from_event(&order).build()?).await?;
    tx.commit().await?;

    println!("placed order {}", order.order_id);
    Ok(())
}
