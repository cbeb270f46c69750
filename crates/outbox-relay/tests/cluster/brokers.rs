//! Brokers that die, freeze, restart and leave.

use tokio::task::block_in_place;
use xtask::stack::NewTopic;

use crate::scene::{Scene, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_are_killed_cost_nothing() {
    let scene = Scene::new().await;
    let (relay, load) = (scene.relay(), scene.load());
    relay.acknowledges(300).await;
    for round in 0..sized(3, 10) {
        let leader = block_in_place(|| scene.cluster.leader(scene.env.topic(), round % 6)).unwrap();
        block_in_place(|| scene.cluster.kill(leader)).unwrap();
        relay.acknowledges(300).await;
        block_in_place(|| scene.cluster.start(leader)).unwrap();
        block_in_place(|| scene.cluster.await_in_sync()).unwrap();
    }
    scene.check(relay, load).await;
}

/// The brokers elect other leaders after some seconds; until then only its own partitions wait for the frozen one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_frozen_does_not_stop_the_others() {
    let scene = Scene::new().await;
    let (relay, load) = (scene.relay(), scene.load());
    relay.acknowledges(300).await;
    let leader = block_in_place(|| scene.cluster.leader(scene.env.topic(), 0)).unwrap();
    scene.cluster.freeze(leader).unwrap();
    for _ in 0..sized(1, 5) {
        relay.acknowledges(1_000).await;
    }
    scene.cluster.thaw(leader).unwrap();
    relay.acknowledges(300).await;
    scene.check(relay, load).await;
}

/// Kafka 4 places replicas on brokers that are stopped but registered, so creation may succeed at once. An error of
/// creation that lasts is tested with the broker in the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_appear_during_a_rolling_restart_get_all_their_events() {
    let scene = Scene::new().await;
    let (relay, load) = (scene.relay(), scene.load());
    relay.acknowledges(300).await;
    for broker in scene.cluster.brokers() {
        block_in_place(|| scene.cluster.stop(broker)).unwrap();
        load.add_type(&format!("new{broker}"));
        relay.acknowledges(300).await;
        block_in_place(|| scene.cluster.start(broker)).unwrap();
        block_in_place(|| scene.cluster.await_in_sync()).unwrap();
    }
    relay.acknowledges(600).await;
    scene.check(relay, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_away_from_a_broker_that_then_leaves() {
    let scene = Scene::new().await;
    let topic = NewTopic::new(scene.env.topic());
    let topic = (0..6).fold(topic, |topic, place| topic.partition_on([1 + place % 3, 1 + (place + 1) % 3]));
    block_in_place(|| scene.cluster.create_topic(&topic.config("min.insync.replicas", "1"))).unwrap();
    let (relay, load) = (scene.relay(), scene.load());
    relay.acknowledges(300).await;
    for partition in 0..6 {
        let place = if partition % 2 == 0 { [2, 3] } else { [3, 2] };
        block_in_place(|| scene.cluster.reassign(scene.env.topic(), partition, &place)).unwrap();
    }

    block_in_place(|| scene.cluster.stop(1)).unwrap();
    relay.acknowledges(600).await;
    scene.check(relay, load).await;
}
