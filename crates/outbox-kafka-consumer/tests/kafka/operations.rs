//! The operations of a group.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use outbox_kafka::Security;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    CircuitBreaker, EventState, FailedEventFilter, FailureKind, Group, HandlerResult, PauseTarget, Received,
    RequestOutcome, RetryPolicy, with,
};
use outbox_test_support::eventually;
use xtask::stack::Stack;

use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;
use crate::secrecy::Log;
use crate::wire::{Wire, topic_name};

/// Fails while it is set.
struct Gateway {
    is_down: AtomicBool,
    calls: AtomicU32,
}

fn gateway() -> &'static Gateway {
    Box::leak(Box::new(Gateway { is_down: AtomicBool::new(true), calls: AtomicU32::new(0) }))
}

async fn call(gateway: &&'static Gateway, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    gateway.calls.fetch_add(1, Ordering::Relaxed);
    if gateway.is_down.load(Ordering::Relaxed) {
        return Err("the gateway is down".into());
    }
    store(tx, event).await
}

/// Returns a policy whose delays are long enough that nothing becomes due during a test.
fn late() -> RetryPolicy {
    RetryPolicy::new(|_, _| Some(Duration::from_secs(3600)))
}

#[tokio::test]
async fn status_tells_owner_position_and_lag_also_while_no_consumer_runs() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, 1).await;
    let group = env.group();
    let status = group.status().await.unwrap();
    let first = status.iter().find(|status| status.partition == 0).unwrap();
    assert!(first.owner.is_some() && first.topic == env.topic() && !first.is_paused, "{first:?}");
    assert_eq!((first.position, first.lag()), (1, Some(0)));
    running.stop().await.unwrap();

    for order in 2..5 {
        env.produce_order(0, order).await;
    }
    let seen = group.status().await.unwrap();
    assert_eq!((seen[0].owner, seen[0].end), (None, Some(1)), "as a consumer saw it last");
    let asked = env.group().kafka(env.brokers().split(','), Security::new()).status().await.unwrap();
    assert_eq!((asked[0].position, asked[0].lag()), (1, Some(3)));
}

#[tokio::test]
async fn a_group_a_topic_and_an_event_type_are_paused_and_resumed() {
    let (log, _collecting) = Log::collect(tracing::Level::INFO);
    let changes = || log.text().matches("pauses changed").count();
    let env = ConsumerEnv::with_partitions(1).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());

    env.produce_order(0, 0).await;
    assert_eq!(env.effects(1).await, [0]);

    let group = env.group();
    let topic = env.topic().to_owned();
    let targets = [
        PauseTarget::Group,
        PauseTarget::Topic(topic.clone()),
        PauseTarget::EventType { topic, event_type: "OrderCreated".to_owned() },
    ];

    for (order, target) in (1..).zip(targets) {
        let before = changes();
        group.pause(&target, "maintenance").await.unwrap();
        let pauses = group.pauses().await.unwrap();
        assert_eq!((&pauses[0].target, &*pauses[0].reason, pauses[0].until), (&target, "maintenance", None));
        let is_all = !matches!(target, PauseTarget::EventType { .. });
        assert_eq!(group.status().await.unwrap()[0].is_paused, is_all);
        // The consumer learns of it by a poll. Then it sees that an event has come, and does not handle it.
        eventually("the consumer knows the pause", async || if changes() > before { Ok(()) } else { Err(log.text()) })
            .await;
        env.produce_order(0, order).await;
        sees_end(&group, order + 1).await;
        assert_eq!(env.effects(0).await.len(), usize::try_from(order).unwrap(), "{target:?}");

        assert!(group.resume(&target).await.unwrap());
        assert!(!group.resume(&target).await.unwrap());
        env.effects(usize::try_from(order).unwrap() + 1).await;
    }
    running.stop().await.unwrap();

    // A consumer that starts meanwhile obeys as well.
    group.pause(&PauseTarget::Group, "before the start").await.unwrap();
    env.produce_order(0, 4).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    sees_end(&group, 5).await;
    assert_eq!(env.effects(0).await.len(), 4);
    group.resume(&PauseTarget::Group).await.unwrap();
    env.effects(5).await;
    running.stop().await.unwrap();
}

/// Waits until a consumer has stored the end of the partition.
async fn sees_end(group: &Group, end: i64) {
    eventually(format!("the end {end}"), async || {
        let seen = group.status().await.unwrap()[0].end;
        if seen == Some(end) { Ok(()) } else { Err(seen) }
    })
    .await;
}

#[tokio::test]
async fn the_circuit_breaker_pauses_instead_of_parking_everything() {
    const EVENTS: usize = 40;
    let env = ConsumerEnv::with_partitions(1).await;
    for order in 0..EVENTS {
        env.produce_order(0, i64::try_from(order).unwrap()).await;
    }
    let gateway = gateway();
    let breaker = CircuitBreaker::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(2));
    let consumer = env.consumer().retry(late()).circuit_breaker(breaker).on(with(gateway, call)).build().unwrap();
    let running = Running::start(consumer);
    let group = env.group();
    let pause =
        eventually("a pause".to_owned(), async || group.pauses().await.unwrap().into_iter().next().ok_or(())).await;
    assert!(pause.until.is_some() && pause.reason.contains("the gateway is down"), "{pause:?}");

    // It opens again after the pause, as long as the gateway is down.
    let calls = gateway.calls.load(Ordering::Relaxed);
    eventually("another attempt".to_owned(), async || {
        if gateway.calls.load(Ordering::Relaxed) > calls { Ok(()) } else { Err(()) }
    })
    .await;
    assert_eq!(group.count(FailedEventFilter::new()).await.unwrap(), 2, "those before the breaker opened");
    gateway.is_down.store(false, Ordering::Relaxed);
    env.effects(EVENTS - 2).await;
    assert_eq!(group.retry_all(EventState::Parked).await.unwrap(), 2);
    env.effects(EVENTS).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn failed_events_are_filtered_retried_and_discarded_in_bulk_with_an_outcome() {
    let env = ConsumerEnv::with_partitions(1).await;
    let gateway = gateway();
    let consumer = || env.consumer().retry(RetryPolicy::never()).on(with(gateway, call)).build().unwrap();
    for order in 0..6 {
        env.produce_order(0, order).await;
    }
    let running = Running::start(consumer());
    let mut dead = env.held(EventState::Dead, 6).await;
    dead.sort_by_key(|held| held.offset);
    assert_eq!((dead[0].event_type.as_deref(), dead[0].key.as_deref()), (Some("OrderCreated"), Some(&b"0"[..])));

    let group = env.group();
    let all = || {
        FailedEventFilter::from(EventState::Dead)
            .topic(env.topic())
            .event_type("OrderCreated")
            .kind(FailureKind::Failed)
    };
    let hit = async |filter: FailedEventFilter| env.group().count(filter).await.unwrap();
    assert_eq!(hit(all().error_contains("gateway").partition(0)).await, 6);
    assert_eq!(hit(all().key(*b"3")).await, 1);
    let first = dead[0].last_failed_at;
    assert_eq!(hit(all().failed_since(first)).await + hit(all().failed_before(first)).await, 6);
    for none in
        [all().error_contains("else"), all().kind(FailureKind::Data), all().partition(1), EventState::Parked.into()]
    {
        assert_eq!(hit(none).await, 0);
    }

    let request = group.discard(dead[5].id).await.unwrap();
    let outcome =
        eventually("an outcome".to_owned(), async || group.request(request).await.unwrap().unwrap().outcome.ok_or(()))
            .await;
    assert_eq!(outcome.0, RequestOutcome::Discarded);
    assert!(group.discard(dead[5].id).await.unwrap_err().is_refused());
    assert_eq!(group.discard_all(all().key(*b"4")).await.unwrap(), 1);
    env.held(EventState::Dead, 4).await;

    gateway.is_down.store(false, Ordering::Relaxed);
    assert_eq!(group.retry_all(all()).await.unwrap(), 4);
    assert_eq!(env.effects(4).await, [0, 1, 2, 3]);
    env.held(EventState::Dead, 0).await;
    // The inbox knows what was discarded, as handled, so that it forgets it in time.
    assert_eq!(env.inbox().await, ["handled"; 6]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_is_removed_with_all_that_it_has_unless_a_consumer_runs() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(1).await, [1]);
    assert!(env.group().remove().await.unwrap_err().is_refused());
    running.stop().await.unwrap();
    env.group().pause(&PauseTarget::Group, "before it goes").await.unwrap();
    // A consumer that has crashed is listed for an hour.
    let client = env.client().await;
    let crashed = "INSERT INTO outbox.consumer_member VALUES ('test', gen_random_uuid(), '{}', clock_timestamp())";
    client.batch_execute(crashed).await.unwrap();

    env.group().remove().await.unwrap();
    for table in ["inbox", "held", "position", "lease", "member", "request", "pause", "subscription"] {
        let row = client.query_one(&format!("SELECT count(*) FROM outbox.consumer_{table}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "{table}");
    }
    // A group of this name begins again.
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(2).await, [1, 1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn kafkas_own_tool_shows_the_positions_and_the_lag() {
    let env = ConsumerEnv::with_partitions(2).await;
    let group = format!("{}.mirrored", env.name());

    for order in 0..4 {
        env.produce_order(0, order).await;
    }

    let running = Running::start(env.consumer().group(&group).on(store).build().unwrap());
    let find = FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.clone()));
    let of = OffsetFetchRequestTopic::default().with_name(topic_name(&env)).with_partition_indexes(vec![0]);
    let fetch = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.clone())))
        .with_topics(Some(vec![of]));
    let mut wire = Wire::connect(env.brokers()).await;
    eventually("the position in Kafka, while the consumer runs".to_owned(), async || {
        wire.call(1, find.clone()).await;
        let answer = wire.call(5, fetch.clone()).await;
        let found = answer.topics.first().map(|topic| topic.partitions[0].committed_offset);
        if found == Some(4) { Ok(()) } else { Err(answer) }
    })
    .await;

    let stack = Stack::connect().unwrap();
    let tool = || stack.kafka_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand").unwrap();
    let reset = ["--reset-offsets", "--to-earliest", "--all-topics", "--execute", "--group", &group];
    let output = tool().args(["--bootstrap-server", env.brokers()]).args(reset).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    eventually("the position in Kafka, after an operator has reset it".to_owned(), async || {
        let answer = wire.call(5, fetch.clone()).await;
        let found = answer.topics.first().map(|topic| topic.partitions[0].committed_offset);
        if found == Some(4) { Ok(()) } else { Err(answer) }
    })
    .await;

    assert_eq!(env.effects(4).await.len(), 4);
    running.stop().await.unwrap();
    env.produce_order(0, 9).await;

    let output = tool().args(["--bootstrap-server", env.brokers(), "--describe", "--group", &group]).output().unwrap();
    let (shown, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let mut found: Vec<&[&str]> =
        rows.iter().filter(|row| row.first() == Some(&&*group)).filter_map(|row| row.get(1..6)).collect();
    found.sort_unstable();
    let topic = env.topic();
    assert_eq!(found, [[topic, "0", "4", "5", "1"], [topic, "1", "0", "0", "0"]], "{shown}{errors}");
}
