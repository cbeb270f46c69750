//! Reserves what is ordered, until Ctrl-C.

use std::error::Error;

use outbox_core::Pipeline;
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Transaction};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
use outbox_pg::tokio_postgres::NoTls;
use shop::OrderCreated;

async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event();
    tx.execute("INSERT INTO reservation VALUES ($1, $2)", &[&order.order_id, &order.quantity]).await?;
    println!("reserved {} for order {}", order.quantity, order.order_id);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(Manager::new(shop::setting("DATABASE_URL")?.parse()?, NoTls)).build()?;
    let mut client = pool.get().await?;
    let table = "CREATE TABLE IF NOT EXISTS reservation (order_id bigint, quantity int)";
    client.batch_execute(table).await?;

    let consumer = Consumer::builder(shop::setting("KAFKA_BROKERS")?.split(','))
        .pipeline(Pipeline::recommended())
        .group("stock")
        .pool(pool.clone())
        .on(reserve)
        .build()?;
    consumer.migrations().apply(&mut client).await?;
    drop(client);

    consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
    Ok(())
}
