//! A Kafka cluster under many failures, for minutes.
#![allow(clippy::unwrap_used, missing_docs)]

use xtask::stack::{NewTopic, Stack};

const TOPIC: &str = "of-the-test";

#[test]
fn a_cluster_survives_ten_killed_leaders_and_a_rolling_restart() {
    let cluster = Stack::connect().unwrap().kafka_cluster().unwrap().start().unwrap();
    cluster.create_topic(&NewTopic::new(TOPIC)).unwrap();
    for _ in 0..10 {
        let leader = cluster.leader(TOPIC, 0).unwrap();
        cluster.kill(leader).unwrap();
        cluster.await_partition(TOPIC, 0, |state| state.leader().is_some_and(|now| now != leader)).unwrap();
        cluster.start(leader).unwrap();
        cluster.await_in_sync().unwrap();
    }

    for broker in cluster.brokers() {
        cluster.stop(broker).unwrap();
        cluster.create_topic(&NewTopic::new(format!("without-{broker}")).replicas(2)).unwrap();
        cluster.start(broker).unwrap();
        cluster.await_in_sync().unwrap();
    }
}
