//! A handler that blocks its thread, which it must not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_kafka_consumer::HandlerResult;
use outbox_kafka_consumer::Received;

use crate::driver::{self, DRIVERS, Tx, consumer, each};
use crate::env::{ConsumerEnv, LEASE, OrderCreated, Running};
use crate::faults::shared;

/// Lets its thread sleep at order 13, once, for longer than the lease.
async fn blocks(has_blocked: &AtomicBool, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    if event.event().order_id == 13 && !has_blocked.swap(true, Ordering::Relaxed) {
        std::thread::sleep(LEASE + Duration::from_secs(1));
    }
    driver::store(tx, event).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_for_longer_than_the_lease_repeats_and_loses_nothing() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(2).await;
        for order in 0..20 {
            env.produce_order(i32::try_from(order % 2).unwrap(), order).await;
        }

        let has_blocked = shared(AtomicBool::new(false));
        let consumer = || {
            let handler = each(move |tx, event| Box::pin(blocks(has_blocked, tx, event)));
            consumer!(driver.pool(env.url(), 16), env, on(handler), lease_ttl(LEASE))
        };
        let (one, other) = (Running::start(consumer()), Running::start(consumer()));
        assert_eq!(env.effects(20).await, (0..20).collect::<Vec<_>>(), "{driver:?}");
        env.position(0, 10).await;
        env.position(1, 10).await;
        one.stop().await.unwrap();
        other.stop().await.unwrap();
        assert_eq!(env.effects(20).await.len(), 20);
    }
}
