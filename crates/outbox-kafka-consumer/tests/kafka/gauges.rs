//! The gauges of a partition that is paused, lost and given back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use outbox_core::record::Record;
use outbox_kafka_consumer::PauseTarget;
use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, Running};
use crate::positions::store;

/// Keeps the values of gauges, by name and partition.
#[derive(Default)]
struct Gauges(Mutex<HashMap<(String, String), Arc<AtomicU64>>>);

impl Recorder for Gauges {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let partition = key.labels().find(|label| label.key() == "partition").map_or("", |label| label.value());
        let known = (key.name().to_owned(), partition.to_owned());
        Gauge::from_arc(Arc::clone(self.0.lock().unwrap().entry(known).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Gauges {
    /// Waits for lag and `stopped` of a partition.
    async fn show(&self, partition: i32, lag: f64, stopped: f64) {
        let value = |name: &str| {
            let gauges = self.0.lock().unwrap();
            let gauge = gauges.get(&(format!("outbox_consumer_{name}"), partition.to_string()));
            gauge.map_or(f64::NAN, |value| f64::from_bits(value.load(Ordering::Relaxed)))
        };
        eventually(format!("partition {partition}: lag {lag}, stopped {stopped}"), async || {
            let found = (value("lag"), value("stopped"));
            if found == (lag, stopped) { Ok(()) } else { Err(found) }
        })
        .await;
    }
}

// The recorder is that of this thread, on which all tasks of these tests run.

#[tokio::test]
async fn the_lag_of_a_paused_topic_grows_with_its_records() {
    let gauges = Gauges::default();
    let _recorder = metrics::set_default_local_recorder(&gauges);
    let env = ConsumerEnv::with_partitions(1).await;
    let group = env.group();
    group.pause(&PauseTarget::Group, "maintenance").await.unwrap();
    let running = Running::start(env.consumer().on(store).build().unwrap());
    // More than what is fetched ahead, each in its own fetch.
    for lag in [1., 2., 3., 4.] {
        env.produce_order(0, 1).await;
        gauges.show(0, lag, 0.).await;
    }
    eventually("the end in the store".to_owned(), async || {
        let status = group.status().await.unwrap().remove(0);
        if (status.position, status.end, status.lag()) == (0, Some(4), Some(4)) { Ok(()) } else { Err(status) }
    })
    .await;

    group.resume(&PauseTarget::Group).await.unwrap();
    env.effects(4).await;
    gauges.show(0, 0., 0.).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_gauges_of_a_partition_that_is_lost_or_given_back_are_zero() {
    let gauges = Gauges::default();
    let _recorder = metrics::set_default_local_recorder(&gauges);
    let env = ConsumerEnv::with_partitions(2).await;
    let mut undecodable = Record::new(env.topic());
    undecodable.value = Some("{}".into());
    for partition in [0, 1] {
        env.produce_record(partition, undecodable.clone()).await;
        env.produce_order(partition, 1).await;
    }
    let running = Running::start(env.consumer().on(store).build().unwrap());
    gauges.show(0, 2., 1.).await;
    gauges.show(1, 2., 1.).await;

    // Another consumer takes the lease of partition 0.
    let client = env.client().await;
    let taken =
        "UPDATE outbox.consumer_lease SET owner = gen_random_uuid(), expires_at = clock_timestamp() + interval '1 hour'
                 WHERE partition = 0";
    client.batch_execute(taken).await.unwrap();
    gauges.show(0, 0., 0.).await;
    gauges.show(1, 2., 1.).await;

    // The error names the partition that this consumer still has.
    let error = running.stop().await.unwrap_err();
    assert_eq!(error.position(), Some((env.topic(), 1, 0)));
    gauges.show(1, 0., 0.).await;
    let owners = "SELECT count(*) FROM outbox.consumer_lease WHERE owner IS NOT NULL";
    assert_eq!(client.query_one(owners, &[]).await.unwrap().get::<_, i64>(0), 1, "that of the other consumer");
}
