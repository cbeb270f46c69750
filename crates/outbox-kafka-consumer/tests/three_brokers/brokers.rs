//! Brokers that die, freeze and leave.

use tokio::task::block_in_place;
use xtask::is_full;
use xtask::stack::NewTopic;

use crate::scene::{PARTITIONS, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_are_killed_cost_nothing() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers(), scene.load("order").await);
    readers.handle_of_each(50).await;
    for round in 0..if is_full() { 10 } else { 3 } {
        let leader = block_in_place(|| scene.cluster.leader(scene.env.topic(), round % PARTITIONS)).unwrap();
        block_in_place(|| scene.cluster.kill(leader)).unwrap();
        readers.handle_of_each(50).await;
        block_in_place(|| scene.cluster.start(leader)).unwrap();
        block_in_place(|| scene.cluster.await_in_sync()).unwrap();
    }
    scene.check(readers, vec![load]).await;
}

/// The partitions of the frozen broker get other leaders, and readers and load find them, while it stays frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_frozen_stops_its_own_partitions_only_for_a_while() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers(), scene.load("order").await);
    readers.handle_of_each(50).await;
    let leader = block_in_place(|| scene.cluster.leader(scene.env.topic(), 0)).unwrap();
    let begin = std::time::Instant::now();
    scene.cluster.freeze(leader).unwrap();
    readers.handle(500).await;
    readers.handle_of_each(50).await;
    eprintln!("all partitions are read from other brokers after {:?}", begin.elapsed());
    while is_full() && begin.elapsed().as_secs() < 30 {
        readers.handle_of_each(50).await;
    }

    scene.cluster.thaw(leader).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_away_from_a_broker_that_then_leaves() {
    let scene = Scene::without_topic().await;
    let topic = NewTopic::new(scene.env.topic()).config("min.insync.replicas", "1");
    let topic = (0..PARTITIONS).fold(topic, |topic, place| topic.partition_on([1 + place % 3, 1 + (place + 1) % 3]));
    block_in_place(|| scene.cluster.create_topic(&topic)).unwrap();
    let (readers, load) = (scene.readers(), scene.load("order").await);
    readers.handle_of_each(50).await;
    for partition in 0..PARTITIONS {
        let place = if partition % 2 == 0 { [2, 3] } else { [3, 2] };
        block_in_place(|| scene.cluster.reassign(scene.env.topic(), partition, &place)).unwrap();
    }

    block_in_place(|| scene.cluster.stop(1)).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_appears_during_a_rolling_restart_is_read() {
    let scene = Scene::new().await;
    let readers = scene.readers_of(&["order", "late"]);
    let mut loads = vec![scene.load("order").await];
    readers.handle_of_each(50).await;

    for broker in scene.cluster.brokers() {
        block_in_place(|| scene.cluster.stop(broker)).unwrap();
        if broker == 2 {
            scene.create_topic("late");
            loads.push(scene.load("late").await);
        }
        readers.handle_of_each(50).await;
        block_in_place(|| scene.cluster.start(broker)).unwrap();
        block_in_place(|| scene.cluster.await_in_sync()).unwrap();
    }
    scene.check(readers, loads).await;
}
