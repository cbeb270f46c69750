use outbox_core::record::Record;
use outbox_test_support::eventually;

use crate::fixture::{Service, builder, connected, set_up_in};

#[tokio::test]
async fn an_event_that_comes_twice_is_received_once() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "all").await;
    service.order(1).await;
    service.receives(1).await;
    let found = env.records(env.topic(), 1).await.remove(0);
    let partition = found.partition;
    env.produce(partition, found.record).await;

    // The position moves beyond the second record when it was found to be known.
    let client = env.client().await;
    eventually("the second record is handled", async || {
        let sql = "SELECT next_offset FROM outbox.consumer_position WHERE partition = $1";
        (client.query_one(sql, &[&partition]).await.unwrap().get::<_, i64>(0) == 2).then_some(())
    })
    .await;
    assert_eq!(service.received().await.len(), 1);
}

#[tokio::test]
async fn a_record_that_nobody_can_decode_stops_its_partition_and_the_service_tells_its_place() {
    let env = set_up_in(builder().topic(1).build().await).await;
    let mut record = Record::new(env.topic());
    record.headers = vec![("id".to_owned(), Some("no uuid".into()))];
    let topic = record.topic.clone();
    let mut service = Service::start(&env, "all").await;
    env.produce(0, record).await;
    let entry = eventually("the partition stops", async || service.entry("partition stopped")).await;
    let error = entry["error"].as_str().unwrap();
    assert!(error.contains(&format!("topic {topic}, partition 0, offset 0")), "{error}");
    service.terminate();
    assert_eq!(service.ended().await.code(), Some(1));
}
