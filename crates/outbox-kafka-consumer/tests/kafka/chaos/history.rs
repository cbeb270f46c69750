use std::collections::BTreeMap;

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::Client;

use super::{PARTITIONS, Random};
use crate::env::OrderCreated;

/// The plan: each order's steps, once each and in order.
pub(super) struct Orders {
    steps: BTreeMap<u64, i64>,
    pub(super) events: i64,
    /// The records of each partition. Some come again.
    pub(super) partitions: Vec<Vec<OutboxEvent>>,
}

impl Orders {
    pub(super) fn random(random: &mut Random, events: u64, aggregates: u64) -> Self {
        let mut steps: BTreeMap<u64, i64> = BTreeMap::new();
        let mut partitions: Vec<Vec<OutboxEvent>> = vec![Vec::new(); PARTITIONS as usize];

        for _ in 0..events {
            let order = 100 + random.below(aggregates);
            let step = steps.entry(order).or_default();
            let event = OutboxEvent::from_event(&OrderCreated { order_id: order as i64, step: *step }).build().unwrap();
            *step += 1;
            let partition = &mut partitions[(order % PARTITIONS) as usize];
            partition.push(event);
            // Again, some of what came before, in its old order.
            if random.below(20) == 0 {
                let from = partition.len() - 1 - random.below(5.min(partition.len() as u64)) as usize;
                partition.extend_from_within(from..);
            }
        }
        Self { steps, events: events as i64, partitions }
    }

    /// Compares with the history as the database has it.
    pub(super) async fn check(&self, client: &Client, seed: u64) {
        let mut found: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for row in client.query("SELECT order_id, step FROM effect ORDER BY n", &[]).await.unwrap() {
            found.entry(row.get::<_, i64>(0) as u64).or_default().push(row.get(1));
        }
        assert_eq!(found.len(), self.steps.len(), "seed {seed}");
        for (order, count) in &self.steps {
            assert_eq!(found[order], (0..*count).collect::<Vec<_>>(), "order {order}, seed {seed}");
        }
        let held = client.query("SELECT state, kind, error FROM outbox.consumer_held", &[]).await.unwrap();
        assert!(held.is_empty(), "{held:?}, seed {seed}");
    }
}
