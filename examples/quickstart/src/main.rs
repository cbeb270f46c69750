//! The way of one event from a transaction to its effect. Run with `cargo run -p quickstart`.
//!
//! No server has to run: PostgreSQL is started from the installed programs or downloaded, and the broker and the relay
//! run in this process.

use std::{error::Error, time::Duration};

use outbox_core::{DomainEvent, OutboxEvent, Pipeline};
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Transaction};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
use outbox_pg::{Migrations, PgOutbox, create_slot, tokio_postgres::NoTls};
use outbox_relay::{Relay, RelaySettings};
use outbox_testkit::{Broker, Postgres};
use tokio_util::sync::CancellationToken;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct OrderCreated {
    order_id: i64,
    quantity: i32,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

/// Handles an event in the transaction that also records the event as handled.
async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event();
    tx.execute("INSERT INTO reservation VALUES ($1, $2)", &[&order.order_id, &order.quantity]).await?;
    println!("3. consumer: {order:?} from {}, offset {}", event.topic(), event.offset());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (postgres, broker) = (Postgres::start().await?, Broker::start().await?);
    let database = postgres.database().await?;
    let config = Pipeline::recommended().config().clone().with_database_url(database.url())?;
    let pipeline = Pipeline::new(config.clone(), Pipeline::recommended().layout().clone())?;
    let pool = Pool::builder(Manager::new(database.url().parse()?, NoTls)).build()?;
    let mut client = pool.get().await?;

    // At deployment: the tables of the service, the outbox table with its publication, and the slot.
    client.batch_execute("CREATE TABLE orders (id bigserial, quantity int)").await?;
    client.batch_execute("CREATE TABLE reservation (order_id bigint, quantity int)").await?;
    Migrations::outbox(&pipeline).apply(&mut client).await?;
    create_slot(&client, &pipeline).await?;

    let stop = CancellationToken::new();
    let relay = Relay::new(RelaySettings::builder(config, [broker.address()]).build()?)?;
    let relay = tokio::spawn(relay.run(stop.clone().cancelled_owned()));
    let consumer = Consumer::builder([broker.address()]).pipeline(pipeline.clone()).group("stock");
    let consumer = consumer.pool(pool.clone()).on(reserve).build()?;
    consumer.migrations().apply(&mut client).await?;
    let consumer = tokio::spawn(consumer.run(stop.clone().cancelled_owned()));

    // In the service: the order and its event commit together.
    let tx = client.transaction().await?;
    let row = tx.query_one("INSERT INTO orders (quantity) VALUES (2) RETURNING id", &[]).await?;
    let event = OutboxEvent::from_event(&OrderCreated { order_id: row.get(0), quantity: 2 }).build()?;
    PgOutbox::new(pipeline).enqueue(&tx, &event).await?;
    tx.commit().await?;
    println!("1. service: order and event {} are committed", event.id().as_uuid());
    println!("2. relay: reads the event from the WAL and writes it to Kafka");

    while client.query_one("SELECT count(*) FROM reservation", &[]).await?.get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("4. the effect is in the table reservation");
    stop.cancel();
    consumer.await??;
    Ok(relay.await??)
}
