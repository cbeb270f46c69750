//! Through a real PgBouncer in transaction mode.

use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::types::Type;
use outbox_kafka_consumer::{HandlerResult, Received, StatementCaching, with};
use outbox_pg::{Migrations, PgOutbox};
use outbox_test_support::{connect, eventually, pool};
use xtask::stack::OwnPgBouncer;

use crate::env::{ConsumerEnv, OrderCreated, Running};

/// Stores what an order is answered with, in the transaction of its effect. Nothing is prepared.
async fn store_and_bill(outbox: &PgOutbox, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    let sql = "INSERT INTO effect (order_id, step) VALUES ($1, $2)";
    tx.execute_typed(sql, &[(order_id, Type::INT8), (step, Type::INT8)]).await?;
    let billed = OutboxEvent::builder("bill", order_id.to_string(), "Billed").json("{}").build()?;
    outbox.enqueue(tx, &billed).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_server_connections_carry_producers_and_consumers_with_statements_that_are_parsed_each_time() {
    const CLIENTS: i64 = 6;
    const EACH: i64 = 10;

    let env = ConsumerEnv::with_partitions(2).await;
    Migrations::outbox(env.pipeline()).apply(&mut env.client().await).await.unwrap();

    let pgbouncer = OwnPgBouncer::start(env.url(), 2).unwrap();
    let outbox = PgOutbox::new(env.pipeline().clone()).statement_caching(StatementCaching::Unnamed);
    let producers: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (url, outbox) = (pgbouncer.url().to_owned(), outbox.clone());
            tokio::spawn(async move {
                let mut pg = connect(&url).await;
                for n in 0..EACH {
                    let order = OrderCreated { order_id: client * EACH + n, step: 0 };
                    let tx = pg.transaction().await.unwrap();
                    outbox.enqueue(&tx, &OutboxEvent::from_event(&order).build().unwrap()).await.unwrap();
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();

    let consumer = || {
        let consumer = env.consumer().pool(pool(pgbouncer.url(), 16)).statement_caching(StatementCaching::Unnamed);
        Running::start(consumer.on(with(outbox.clone(), store_and_bill)).build().unwrap())
    };
    let consumers = [consumer(), consumer()];
    let orders = CLIENTS * EACH;

    for order in 0..orders {
        env.produce_order(i32::try_from(order % 2).unwrap(), order).await;
    }

    for producer in producers {
        producer.await.unwrap();
    }

    assert_eq!(env.effects(usize::try_from(orders).unwrap()).await, (0..orders).collect::<Vec<_>>());
    env.position(0, orders / 2).await;
    env.position(1, orders / 2).await;
    for consumer in consumers {
        consumer.stop().await.unwrap();
    }

    // Every order that was enqueued, and a bill for each of those that were handled.
    let client = env.client().await;
    eventually("all rows of the outbox".to_owned(), async || {
        let sql = "SELECT count(*) FILTER (WHERE aggregate_type = $1), count(*) FROM outbox.outbox_message";
        let row = client.query_one(sql, &[&OrderCreated::AGGREGATE_TYPE]).await.unwrap();
        let found: (i64, i64) = (row.get(0), row.get(1));
        if found == (orders, 2 * orders) { Ok(()) } else { Err(found) }
    })
    .await;
    drop(pgbouncer);
}
