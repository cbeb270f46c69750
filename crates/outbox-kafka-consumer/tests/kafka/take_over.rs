use outbox_kafka_consumer::{EventState, FailureKind};
use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, Running};
use crate::positions::store;
use crate::process::{AtOrder13, Process};

fn process(env: &ConsumerEnv, at_13: AtOrder13) -> Process {
    Process::spawn(env.brokers(), env.url(), env.name(), at_13)
}

async fn owners(env: &ConsumerEnv) -> Vec<Option<String>> {
    let sql = "SELECT owner::text FROM outbox.consumer_lease WHERE topic = $1 ORDER BY partition";
    let rows = env.client().await.query(sql, &[&env.topic()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn consumers_share_the_partitions_and_give_them_back() {
    let env = ConsumerEnv::with_partitions(4).await;
    let first = Running::start(env.consumer().on(store).build().unwrap());
    eventually("all four".to_owned(), async || {
        let owners = owners(&env).await;
        if owners.len() == 4 && owners.iter().all(Option::is_some) { Ok(()) } else { Err(owners) }
    })
    .await;
    let second = Running::start(env.consumer().on(store).build().unwrap());
    eventually("two each".to_owned(), async || {
        let owners = owners(&env).await;
        let of_first = owners.iter().filter(|owner| **owner == owners[0]).count();
        if of_first == 2 && owners.iter().all(Option::is_some) { Ok(()) } else { Err(owners) }
    })
    .await;

    for partition in 0..4 {
        env.produce_order(partition, i64::from(partition)).await;
    }

    assert_eq!(env.effects(4).await, [0, 1, 2, 3]);
    first.stop().await.unwrap();
    env.produce_order(0, 4).await;
    env.produce_order(3, 5).await;
    assert_eq!(env.effects(6).await, [0, 1, 2, 3, 4, 5]);
    second.stop().await.unwrap();
    assert_eq!(owners(&env).await, [None, None, None, None]);
}

#[tokio::test]
async fn a_partition_of_a_consumer_that_was_killed_goes_on_when_its_lease_has_run_out() {
    let env = ConsumerEnv::with_partitions(1).await;
    let mut killed = process(&env, AtOrder13::Nothing);
    env.produce_order(0, 1).await;
    assert_eq!(env.effects(1).await, [1]);
    killed.kill();
    env.produce_order(0, 2).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_that_stands_still_before_its_commit_is_overtaken_and_its_effect_is_not_doubled() {
    let env = ConsumerEnv::with_partitions(1).await;
    let stopped = process(&env, AtOrder13::Stop);
    env.produce_order(0, 1).await;
    assert_eq!(env.effects(1).await, [1]);
    env.produce_order(0, 13).await;
    env.produce_order(0, 2).await;
    eventually("stopped".to_owned(), async || if stopped.is_stopped() { Ok(()) } else { Err(stopped.log()) }).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());

    assert_eq!(env.effects(3).await, [1, 2, 13]);
    env.position(0, 3).await;
    stopped.resume();

    // PostgreSQL's own word for what became of the first one's transaction.
    let log = stopped.log();
    let id = log.lines().find_map(|line| line.strip_prefix("transaction ")).unwrap();
    let status = env.client().await.query_one("SELECT pg_xact_status($1::text::xid8)", &[&id]).await.unwrap();
    assert_eq!(status.get::<_, &str>(0), "aborted");
    eventually("the failure of the first".to_owned(), async || {
        let log = stopped.log();
        if log.contains("lease expired") || log.contains("another consumer") { Ok(()) } else { Err(log) }
    })
    .await;

    env.produce_order(0, 3).await;
    assert_eq!(env.effects(4).await, [1, 2, 3, 13]);
    drop(stopped);
    running.stop().await.unwrap();
    assert_eq!(env.effects(4).await, [1, 2, 3, 13]);
}

#[tokio::test]
async fn an_event_that_ends_the_process_each_time_becomes_a_dead_letter_and_others_go_on() {
    let env = ConsumerEnv::with_partitions(1).await;
    for order in [1, 13, 2, 13, 3] {
        env.produce_order(0, order).await;
    }

    let mut crashing = process(&env, AtOrder13::Abort);
    let mut crashes = 0;
    eventually("a dead letter".to_owned(), async || {
        if crashing.has_ended() {
            crashes += 1;
            crashing = process(&env, AtOrder13::Abort);
        }
        let dead = env.group().list(EventState::Dead, None, 10).await.unwrap();
        if dead.len() == 1 { Ok(()) } else { Err(crashes) }
    })
    .await;

    let dead = env.held(EventState::Dead, 1).await;
    assert_eq!((dead[0].offset, dead[0].kind), (1, FailureKind::Crashed));
    assert_eq!(env.effects(3).await, [1, 2, 3]);
    env.held(EventState::Parked, 1).await;
    assert!(crashes >= 2, "{crashes}");
    drop(crashing);
}
