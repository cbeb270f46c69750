use outbox_core::{DomainEvent, OutboxEvent, Pipeline};
use outbox_pg::{Migrations, PgOutbox, create_slot, tokio_postgres::Client};

#[derive(Debug, serde::Serialize)]
pub struct OrderCreated {
    order_id: i64,
    quantity: i32,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order"; // the topic is outbox.events.order
    const EVENT_TYPE: &'static str = "OrderCreated";
    fn aggregate_id(&self) -> String {
        self.order_id.to_string() // the record's key: events of one order keep their order
    }
}

pub async fn set_up(client: &mut Client) -> Result<(), outbox_pg::Error> {
    Migrations::outbox(&Pipeline::recommended()).apply(client).await?;
    create_slot(client, &Pipeline::recommended()).await.map(drop)
}

pub async fn place_order(client: &mut Client, outbox: &PgOutbox) -> Result<(), Box<dyn std::error::Error>> {
    let tx = client.transaction().await?;
    let row = tx.query_one("INSERT INTO orders (quantity) VALUES (2) RETURNING id", &[]).await?;
    let event = OutboxEvent::from_event(&OrderCreated { order_id: row.get(0), quantity: 2 }).build()?;
    outbox.enqueue(&tx, &event).await?; // accepts a transaction only, no connection and no pool
    Ok(tx.commit().await?)
}
