//! The positions of a group: the first one, those that the topic no longer holds, and those that are moved.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_core::record::Record;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    EventState, HandlerError, HandlerResult, InitialOffset, MovePolicy, OnOffsetOutOfRange, Received, RecordPolicy,
    StatementCaching, with,
};

use crate::env::{ConsumerEnv, OrderCreated, Running};

pub(crate) async fn store(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    tx.execute("INSERT INTO effect (order_id, step) VALUES ($1, $2)", &[order_id, step]).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_group_begins_at_the_earliest_record_and_goes_on_where_it_stopped() {
    let env = ConsumerEnv::with_partitions(1).await;
    for order in 1..=3 {
        env.produce_order(0, order).await;
    }
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
    assert_eq!(env.next_offset(0).await, Some(3));
    env.produce_order(0, 4).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(4).await, [1, 2, 3, 4], "nothing is handled twice");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_consumer_joins_its_group_before_its_first_renewal_is_due() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    let consumer = env.consumer().lease_ttl(Duration::from_secs(3600)).on(store);
    let running = Running::start(consumer.build().unwrap());
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_and_partitions_that_appear_later_are_read() {
    let env = ConsumerEnv::without_topic().await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.create_topic(2).await;
    env.produce_order(0, 1).await;
    assert_eq!(env.effects(1).await, [1]);
    env.produce_order(1, 2).await;
    assert_eq!(env.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn records_that_are_no_events_and_events_without_a_handler_move_the_position_only() {
    let env = ConsumerEnv::with_partitions(1).await;
    let mut tombstone = Record::new(env.topic());
    tombstone.key = Some("1".into());
    env.produce_record(0, tombstone).await;
    let unknown = OutboxEvent::builder("order", "1", "Unknown").json("{}").build().unwrap();
    let last = env.produce(0, &unknown).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, last + 1).await;
    env.produce_order(0, 1).await;
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn two_consumers_of_a_group_give_each_record_one_effect() {
    let env = ConsumerEnv::with_partitions(1).await;
    let consumers: Vec<_> = (0..2).map(|_| Running::start(env.consumer().on(store).build().unwrap())).collect();
    for order in 0..60 {
        env.produce_order(0, order).await;
    }
    assert_eq!(env.effects(60).await, (0..60).collect::<Vec<_>>());
    for consumer in consumers {
        consumer.stop().await.unwrap();
    }
    assert_eq!(env.effects(60).await.len(), 60);
    assert_eq!(env.next_offset(0).await, Some(60));
}

#[tokio::test]
async fn a_position_that_is_not_in_the_topic_stops_the_consumer() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    let sql = "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset) VALUES ('test', $1, 0, 7)";
    env.client().await.execute(sql, &[&env.topic()]).await.unwrap();
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert!(env.stopped(0).await.contains("holds 0 to before 1"));

    let error = running.stop().await.unwrap_err();
    assert!(error.is_record(), "{error}");
    assert_eq!(error.position(), Some((env.topic(), 0, 7)));
    let consumer = env.consumer().on_offset_out_of_range(OnOffsetOutOfRange::Earliest).on(store).build().unwrap();
    let running = Running::start(consumer);
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_made_anew_stops_the_partition_although_it_holds_the_position() {
    let env = ConsumerEnv::with_partitions(1).await;
    let consume = |lost| Running::start(env.consumer().on_offset_out_of_range(lost).on(store).build().unwrap());
    env.produce_order(0, 1).await;

    let running = consume(OnOffsetOutOfRange::Stop);
    env.position(0, 1).await;
    running.stop().await.unwrap();

    for (lost, orders) in [(OnOffsetOutOfRange::Earliest, 2..4), (OnOffsetOutOfRange::Stop, 4..6)] {
        env.delete_topic().await;
        env.create_topic(1).await;
        for order in orders.clone() {
            env.produce_order(0, order).await;
        }

        let running = consume(OnOffsetOutOfRange::Stop);
        assert!(env.stopped(0).await.contains("created again"));
        let error = running.stop().await.unwrap_err();
        assert_eq!(error.position().map(|(_, partition, _)| partition), Some(0), "{error}");
        if lost == OnOffsetOutOfRange::Stop {
            // What somebody has decided to read is what is there.
            env.group().move_position(env.topic(), 0, 0, MovePolicy::Respect).await.unwrap();
        }

        let running = consume(lost);
        env.position(0, 2).await;
        assert_eq!(env.effects(orders.end as usize - 1).await, (1..orders.end).collect::<Vec<_>>());
        running.stop().await.unwrap();
    }
}

/// Creates the topic again, whose offsets are then those of the old one's dead letters.
#[tokio::test]
async fn an_event_that_fails_is_kept_at_an_offset_of_the_topics_earlier_life() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn fails(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        match event.event().step {
            0 => Err(HandlerError::reject("the first step")),
            _ => store(tx, event).await,
        }
    }

    let undecodable = |value: &str| {
        let mut record = Record::new(env.topic());
        record.headers.push(("id".to_owned(), Some("no uuid".into())));
        (record.key, record.value, record.timestamp) =
            (Some(format!("key {value}").into()), Some("{}".into()), Some(1));
        record
    };
    for life in [1, 2] {
        if life == 2 {
            env.delete_topic().await;
            env.create_topic(1).await;
            env.group().move_position(env.topic(), 0, 0, MovePolicy::Respect).await.unwrap();
        }

        env.produce_step(0, life, 0).await;
        env.produce_record(0, undecodable(&life.to_string())).await;
        // The key is blocked, so that this one is parked.
        env.produce_step(0, life, 1).await;
        let running =
            Running::start(env.consumer().on_undecodable_record(RecordPolicy::DeadLetter).on(fails).build().unwrap());
        let dead = env.held(EventState::Dead, 2 * life as usize).await;
        let parked = env.held(EventState::Parked, life as usize).await;
        assert_eq!(dead.iter().map(|held| held.offset).collect::<Vec<_>>(), [0, 1].repeat(life as usize));
        assert_eq!(parked.iter().map(|held| held.offset).collect::<Vec<_>>(), [2].repeat(life as usize));

        // A record that is read a second time is held once.
        env.position(0, 3).await;
        env.group().move_position(env.topic(), 0, 0, MovePolicy::Respect).await.unwrap();
        env.position(0, 3).await;
        running.stop().await.unwrap();
        env.held(EventState::Dead, 2 * life as usize).await;
        env.held(EventState::Parked, life as usize).await;
    }

    for dead in env.held(EventState::Dead, 4).await {
        env.group().discard(dead.id).await.unwrap();
    }

    let running =
        Running::start(env.consumer().on_undecodable_record(RecordPolicy::DeadLetter).on(fails).build().unwrap());

    assert_eq!(env.steps(2).await, [(1, 1), (2, 1)]);
    env.held(EventState::Dead, 0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_group_may_begin_at_the_latest_record() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().initial_offset(InitialOffset::Latest).on(store).build().unwrap());
    env.position(0, 1).await;
    env.produce_order(0, 2).await;
    assert_eq!(env.effects(1).await, [2]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_whose_record_comes_twice_takes_effect_once() {
    let env = ConsumerEnv::with_partitions(2).await;
    let event = OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).build().unwrap();
    for partition in [0, 0, 1] {
        env.produce(partition, &event).await;
    }
    env.produce_order(0, 2).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, 3).await;
    env.position(1, 1).await;
    assert_eq!(env.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_position_is_moved_back_without_a_second_effect_and_not_behind_the_inbox_horizon() {
    let env = ConsumerEnv::with_partitions(1).await;
    for order in 0..4 {
        env.produce_order(0, order).await;
    }

    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, 4).await;
    env.group().move_position(env.topic(), 0, 0, MovePolicy::Respect).await.unwrap();
    env.position(0, 4).await;
    assert_eq!(env.effects(4).await, [0, 1, 2, 3]);
    running.stop().await.unwrap();
    let horizon = "UPDATE outbox.consumer_position SET horizon = 3";
    env.client().await.execute(horizon, &[]).await.unwrap();
    let error = env.group().move_position(env.topic(), 0, 2, MovePolicy::Respect).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("before 3"), "{error}");
    env.group().move_position(env.topic(), 0, 2, MovePolicy::Force).await.unwrap();
    assert_eq!(env.next_offset(0).await, Some(2));
}

#[tokio::test]
async fn statements_that_are_parsed_each_time_do_the_same() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn picky(attempts: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if event.event().step == 1 && attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("not at first".into());
        }
        store(tx, event).await
    }

    let consumer = env.consumer().statement_caching(StatementCaching::Unnamed).on(with(AtomicU32::new(0), picky));
    let running = Running::start(consumer.build().unwrap());
    for step in 0..3 {
        env.produce_step(0, 1, step).await;
    }
    assert_eq!(env.steps(3).await, [(1, 0), (1, 1), (1, 2)]);
    running.stop().await.unwrap();
}
