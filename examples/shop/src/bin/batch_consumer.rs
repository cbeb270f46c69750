//! Sums up what is ordered: one UPDATE for all events that wait, until Ctrl-C.

use std::error::Error;

use outbox_core::Pipeline;
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Transaction};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
use outbox_pg::tokio_postgres::NoTls;
use shop::OrderCreated;

async fn sum(tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
    let quantity: i64 = events.iter().map(|event| i64::from(event.event().quantity)).sum();
    tx.execute("UPDATE demand SET quantity = quantity + $1", &[&quantity]).await?;
    println!("added {quantity} of {} events", events.len());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(Manager::new(shop::setting("DATABASE_URL")?.parse()?, NoTls)).build()?;
    let mut client = pool.get().await?;
    let table = "CREATE TABLE IF NOT EXISTS demand (quantity bigint NOT NULL);
                 INSERT INTO demand SELECT 0 WHERE NOT EXISTS (SELECT FROM demand)";
    client.batch_execute(table).await?;

    let consumer = Consumer::builder(shop::setting("KAFKA_BROKERS")?.split(','))
        .pipeline(Pipeline::recommended())
        .group("demand")
        .pool(pool.clone())
        .on_batch(sum)
        .build()?;
    consumer.migrations().apply(&mut client).await?;
    drop(client);

    consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
    Ok(())
}
