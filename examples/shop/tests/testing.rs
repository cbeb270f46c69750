//! Tests of a service: of what it enqueues, without a database, and of its handlers, without Kafka.
#![allow(clippy::unwrap_used, missing_docs)]

use outbox_core::{Error, EventId, Outbox, OutboxEvent, Pipeline, RecordingOutbox};
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Transaction};
use outbox_kafka_consumer::testing::{Delivered, Trial};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
use outbox_pg::tokio_postgres::NoTls;
use outbox_testkit::Postgres;
use shop::OrderCreated;

async fn place<Tx: Send>(outbox: &(impl Outbox<Tx> + Sync), tx: Tx) -> Result<EventId, Error> {
    outbox.publish(tx, &OrderCreated::new(7, 2)).await
}

#[tokio::test]
async fn placing_an_order_enqueues_its_event() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    place(&outbox, ()).await.unwrap();
    outbox.assert_enqueued(&OrderCreated::new(7, 2));
}

async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event();
    tx.execute("INSERT INTO reservation VALUES ($1, $2)", &[&order.order_id, &order.quantity]).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_is_reserved_once() {
    let postgres = Postgres::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let pool = Pool::builder(Manager::new(database.url().parse().unwrap(), NoTls)).build().unwrap();
    let mut client = pool.get().await.unwrap();
    client.batch_execute("CREATE TABLE reservation (order_id bigint, quantity int)").await.unwrap();

    // No broker is asked: the trial gives events to the handlers itself.
    let consumer = Consumer::builder(["127.0.0.1:1"]).pipeline(Pipeline::recommended()).group("stock");
    let consumer = consumer.pool(pool.clone()).on(reserve).build().unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();
    let event = OutboxEvent::from_event(&OrderCreated::new(7, 2)).build().unwrap();

    trial.deliver_and_crash(&event).await.unwrap();
    assert_eq!(trial.deliver(&event).await.unwrap(), Delivered::Handled);
    assert_eq!(trial.deliver(&event).await.unwrap(), Delivered::Duplicate);
    let row = trial.transaction().query_one("SELECT count(*) FROM reservation", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}
