//! Kafka clusters that belong to a test.
#![allow(clippy::unwrap_used, missing_docs)]

use xtask::stack::{KafkaCluster, NewTopic, QuotaEntity, Stack};

const TOPIC: &str = "of-the-test";

fn cluster() -> KafkaCluster {
    Stack::connect().unwrap().kafka_cluster().unwrap().start().unwrap()
}

/// One test, because it takes a cluster of three brokers.
#[test]
fn leaders_move_when_brokers_end_or_freeze_and_partitions_where_they_are_sent() {
    let cluster = cluster();
    assert_eq!(cluster.brokers(), 1..=3);
    assert_eq!(cluster.bootstrap().split(',').count(), 3);
    cluster.create_topic(&NewTopic::new(TOPIC).partitions(3)).unwrap();
    let state = cluster.partition(TOPIC, 0).unwrap();
    assert_eq!((state.replicas().len(), state.in_sync().len()), (3, 3));

    // A killed leader, and its return.
    let (leader, epoch) = (state.leader().unwrap(), state.leader_epoch());
    cluster.kill(leader).unwrap();
    assert!(!cluster.is_running(leader));
    let state = cluster.await_partition(TOPIC, 0, |state| state.leader().is_some_and(|now| now != leader)).unwrap();
    assert!(state.leader_epoch() > epoch);
    cluster.start(leader).unwrap();
    cluster.await_in_sync().unwrap();

    // A frozen leader.
    let leader = cluster.leader(TOPIC, 1).unwrap();
    cluster.freeze(leader).unwrap();
    assert!(cluster.is_running(leader));
    cluster.await_partition(TOPIC, 1, |state| state.leader().is_some_and(|now| now != leader)).unwrap();
    cluster.thaw(leader).unwrap();
    cluster.await_in_sync().unwrap();

    // An orderly stop moves the leader before the broker ends.
    let leader = cluster.leader(TOPIC, 2).unwrap();
    cluster.stop(leader).unwrap();
    assert_ne!(cluster.leader(TOPIC, 2).unwrap(), leader);
    cluster.start(leader).unwrap();
    cluster.await_in_sync().unwrap();

    // All brokers die, and come back with what they had.
    for broker in cluster.brokers() {
        cluster.kill(broker).unwrap();
    }
    assert!(cluster.partition(TOPIC, 0).is_err());
    for broker in cluster.brokers() {
        cluster.start(broker).unwrap();
    }
    cluster.await_in_sync().unwrap();

    let two = NewTopic::new("two-of-three").partition_on([1, 2]).config("min.insync.replicas", "1");
    cluster.create_topic(&two).unwrap();
    assert_eq!(cluster.leader("two-of-three", 0).unwrap(), 1);
    cluster.reassign("two-of-three", 0, &[3, 2]).unwrap();
    assert_eq!(cluster.partition("two-of-three", 0).unwrap().replicas(), [3, 2]);
    let again = cluster.create_topic(&two).unwrap_err();
    assert!(again.to_string().contains("TopicAlreadyExists"), "{again}");
    cluster.delete_topic("two-of-three").unwrap();

    cluster.configure_topic(TOPIC, "retention.ms", Some("1000000")).unwrap();
    let refused = cluster.configure_topic(TOPIC, "retention.ms", Some("soon")).unwrap_err();
    assert!(refused.to_string().contains("InvalidConfig"), "{refused}");
    cluster.configure_topic(TOPIC, "retention.ms", None).unwrap();
    cluster.configure_broker(2, "log.cleaner.threads", Some("2")).unwrap();
    cluster.configure_brokers("message.max.bytes", Some("2000000")).unwrap();

    // A quota takes effect: the second creation comes too early.
    let creator = QuotaEntity::EachClient;
    cluster.set_quota(&creator, "controller_mutation_rate", Some(0.1)).unwrap();
    let throttled = (0..20)
        .find_map(|number| cluster.create_topic(&NewTopic::new(format!("throttled-{number}")).partitions(10)).err());
    assert!(throttled.unwrap().to_string().contains("ThrottlingQuotaExceeded"));
    cluster.set_quota(&creator, "controller_mutation_rate", None).unwrap();
    cluster.create_topic(&NewTopic::new("not-throttled")).unwrap();
}
