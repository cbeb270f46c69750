//! Places an order.

use std::error::Error;

use outbox_core::{OutboxEvent, Pipeline};
use outbox_pg::{PgOutbox, tokio_postgres};
use shop::OrderCreated;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE IF NOT EXISTS orders (id bigserial, quantity int)").await?;
    let outbox = PgOutbox::new(Pipeline::recommended());

    let tx = client.transaction().await?;
    let row = tx.query_one("INSERT INTO orders (quantity) VALUES (2) RETURNING id", &[]).await?;
    let order = OrderCreated::new(row.get(0), 2);
    outbox.enqueue(&tx, &OutboxEvent::from_event(&order).build()?).await?;
    tx.commit().await?;

    println!("placed order {}", order.order_id);
    Ok(())
}
