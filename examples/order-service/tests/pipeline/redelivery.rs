use outbox_core::Record;

use crate::fixture::connected::with_connector;
use crate::fixture::{Service, eventually, topic, with_database};

#[tokio::test]
async fn an_event_that_comes_twice_is_received_once() {
    with_connector(async |connected| {
        let service = Service::start(connected.database, "all").await;
        service.order(1).await;
        service.receives(1).await;
        let brokers = connected.database.stack.kafka_bootstrap();
        let record = topic::records(&brokers, &connected.topic("order"), 1).await.remove(0);
        let partition = record.partition.unwrap();
        topic::produce(&brokers, record).await;

        // The position moves beyond the second record when it was found to be known.
        let client = connected.database.client().await;
        eventually("the second record is handled", async || {
            let sql = "SELECT next_offset FROM outbox.consumer_position WHERE partition = $1";
            (client.query_one(sql, &[&partition]).await.unwrap().get::<_, i64>(0) == 2).then_some(())
        })
        .await;
        assert_eq!(service.received().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_record_that_nobody_can_decode_stops_its_partition_and_the_service_tells_its_place() {
    with_database(async |database| {
        database.set_up().await;
        let brokers = database.stack.kafka_bootstrap();
        let mut record = Record::new(database.pipeline.topic(&"order".parse().unwrap()).unwrap());
        record.headers = vec![("id".to_owned(), Some("no uuid".into()))];
        let topic = record.topic.clone();
        let mut service = Service::start(database, "all").await;
        topic::produce(&brokers, record).await;
        let entry = eventually("the partition stops", async || service.entry("the partition stands still")).await;
        let error = entry["error"].as_str().unwrap();
        assert!(error.contains(&format!("topic {topic}, partition 0, offset 0")), "{error}");
        service.terminate();
        assert_eq!(service.ended().await.code(), Some(1));
    })
    .await;
}
