use outbox_core::{IncomingEvent, Pipeline};
use outbox_kafka_consumer::deadpool_postgres::{Pool, Transaction};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};

#[derive(Debug, serde::Deserialize)]
pub struct OrderCreated {
    order_id: i64,
    quantity: i32,
}

impl IncomingEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";
}

async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event();
    tx.execute("INSERT INTO reservation VALUES ($1, $2)", &[&order.order_id, &order.quantity]).await?;
    Ok(())
}

pub async fn consume(pool: Pool, brokers: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let consumer = Consumer::builder(brokers)
        .pipeline(Pipeline::recommended())
        .group("stock")
        .pool(pool.clone())
        .on(reserve)
        .build()?;
    consumer.migrations().apply(&mut *pool.get().await?).await?; // once, at deployment
    Ok(consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?)
}
