use outbox_core::OutboxEvent;
use outbox_kafka_consumer::{HandlerResult, Isolation, Received};

use crate::driver::{DRIVERS, Tx, consumer, each};
use crate::env::{ConsumerEnv, OrderCreated, Running, produce_to};

async fn store_with_level(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    let insert = "INSERT INTO effect (order_id, step, note) VALUES";
    tx.run(&format!("{insert} ({order_id}, {step}, current_setting('transaction_isolation'))")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_default_of_the_database_parks_no_event_and_reopens_no_partition() {
    for driver in DRIVERS {
        const ORDERS: i64 = 50;
        const STEPS: i64 = 20;
        for level in ["repeatable read", "serializable"] {
            let env = ConsumerEnv::with_partitions(1).await;
            let pool = driver.pool(env.url(), 16);
            let client = env.client().await;
            let name = env.name();
            client
                .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"))
                .await
                .unwrap();
            let order =
                |n| OutboxEvent::from_event(&OrderCreated { order_id: n % ORDERS, step: n / ORDERS }).build().unwrap();
            let events: Vec<OutboxEvent> = (0..ORDERS * STEPS).map(order).collect();
            produce_to(env.brokers(), env.pipeline(), 0, &events).await;

            // Small batches, so that the workers' transactions overlap.
            let handler = each(|tx, event| Box::pin(store_with_level(tx, event)));
            let running = Running::start(consumer!(pool, env, on(handler), max_batch_size(4.try_into().unwrap())));
            env.position(0, ORDERS * STEPS).await;
            running.stop().await.unwrap();

            let sql = "SELECT (SELECT count(*) FROM effect), (SELECT count(DISTINCT (order_id, step)) FROM effect),
                           (SELECT max(note) FROM effect), (SELECT min(note) FROM effect), (SELECT is_called FROM outbox.consumer_held_id_seq),
                           (SELECT epoch FROM outbox.consumer_position)";
            let row = client.query_one(sql, &[]).await.unwrap();
            let counts: (i64, i64) = (row.get(0), row.get(1));
            assert_eq!(counts, (ORDERS * STEPS, ORDERS * STEPS), "{level}");
            let levels: (&str, &str) = (row.get(2), row.get(3));
            assert_eq!(levels, ("read committed", "read committed"));
            assert!(!row.get::<_, bool>(4), "an event was parked under {level}");
            assert_eq!(row.get::<_, i64>(5), 1, "the partition was opened again under {level}");
        }
    }
}

/// Reads all orders before it adds one: under READ COMMITTED two of them would see the same number.
async fn number(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event().order_id;
    let insert = "INSERT INTO effect (order_id, step, note)";
    tx.run(&format!("{insert} SELECT {order}, count(*), current_setting('transaction_isolation') FROM effect")).await
}

/// Updates one row that all of them share.
async fn sum_up(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    tx.run("UPDATE total SET events = events + 1").await?;
    store_with_level(tx, event).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_at_a_stricter_level_are_retried_and_park_no_event() {
    for driver in DRIVERS {
        const ORDERS: i64 = 200;
        for (level, name) in [(Isolation::RepeatableRead, "repeatable read"), (Isolation::Serializable, "serializable")]
        {
            let env = ConsumerEnv::with_partitions(1).await;
            let pool = driver.pool(env.url(), 16);
            let client = env.client().await;
            client.batch_execute("CREATE TABLE total (events bigint); INSERT INTO total VALUES (0)").await.unwrap();
            let order = |order_id| OutboxEvent::from_event(&OrderCreated { order_id, step: 0 }).build().unwrap();
            let events: Vec<OutboxEvent> = (0..ORDERS).map(order).collect();
            produce_to(env.brokers(), env.pipeline(), 0, &events).await;

            let handler = if level == Isolation::Serializable {
                each(|tx, event| Box::pin(number(tx, event)))
            } else {
                each(|tx, event| Box::pin(sum_up(tx, event)))
            };
            let consumer = consumer!(pool, env, on(handler), max_batch_size(4.try_into().unwrap()), isolation(level));
            let running = Running::start(consumer);
            env.position(0, ORDERS).await;
            running.stop().await.unwrap();

            let sql = "SELECT (SELECT count(DISTINCT order_id) FROM effect), (SELECT count(*) FROM effect),
                           (SELECT count(DISTINCT step) FROM effect), (SELECT events FROM total),
                           (SELECT string_agg(DISTINCT note, ' ') FROM effect),
                           (SELECT is_called FROM outbox.consumer_held_id_seq), (SELECT epoch FROM outbox.consumer_position)";
            let row = client.query_one(sql, &[]).await.unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (ORDERS, ORDERS), "{name}");
            // The numbers are those of a serial order, and no update is lost.
            let counted = if level == Isolation::Serializable { row.get::<_, i64>(2) } else { row.get(3) };
            assert_eq!((counted, row.get::<_, &str>(4)), (ORDERS, name));
            assert!(!row.get::<_, bool>(5), "an event was parked at {name}");
            assert_eq!(row.get::<_, i64>(6), 1, "the partition was opened again at {name}");
        }
    }
}
