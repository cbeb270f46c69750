use outbox_core::{DomainEvent, Outbox, Pipeline};
use outbox_pg::deadpool_postgres::{Pool, tokio_postgres::Client};
use outbox_pg::{Migrations, OutboxWorker, PgOutbox, create_slot};

#[derive(Debug, serde::Serialize, DomainEvent)]
#[event(aggregate_type = "order")] // the topic is outbox.events.order
pub struct OrderCreated {
    #[event(aggregate_id)] // the record's key: events of one order keep their order
    order_id: i64,
    quantity: i32,
}

pub async fn set_up(pool: &Pool) -> Result<OutboxWorker, Box<dyn std::error::Error>> {
    let (mut client, pipeline) = (pool.get().await?, Pipeline::recommended());
    Migrations::outbox(&pipeline).apply(&mut client).await?;
    Migrations::maintenance(&pipeline).apply(&mut client).await?;
    create_slot(&client, &pipeline).await?;
    Ok(OutboxWorker::builder(pool.clone(), pipeline).spawn()) // deletes published rows after a week, watches the slot
}

pub async fn place_order(client: &mut Client, outbox: &PgOutbox) -> Result<(), Box<dyn std::error::Error>> {
    let tx = client.transaction().await?;
    let row = tx.query_one("INSERT INTO orders (quantity) VALUES (2) RETURNING id", &[]).await?;
    outbox.publish(&tx, &OrderCreated { order_id: row.get(0), quantity: 2 }).await?; // takes a transaction only
    Ok(tx.commit().await?)
}
