use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{DescribeProducersRequest, InitProducerIdRequest};

use super::client::{Client, topic_name};
use super::records::{batch, fetch, produce, send};
use super::target::Target;

/// Returns an unused producer id. A cluster that has given none yet may ask for another try (14).
async fn producer_id(client: &mut Client) -> i64 {
    for _ in 0..100 {
        let answer = client.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await;
        if answer.error_code == 0 {
            assert_eq!(answer.producer_epoch, 0);
            return answer.producer_id.0;
        }
        assert_eq!(answer.error_code, 14);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no producer id");
}

pub(crate) async fn resumed(target: Arc<Target>) {
    let topic = target.topic(2).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    assert_eq!(send(&mut client, &topic, batch(10).by(id, 0, 0)).await, (0, 0));
    let mut other = target.client().await;
    assert_eq!(send(&mut other, &topic, batch(10).by(id, 0, 10)).await, (0, 10));
    assert_eq!(send(&mut client, &topic, batch(10).by(id, 0, 10)).await, (0, 10), "a late one of the first process");
    assert_eq!(fetch(&mut client, &topic, 0, 1).await.high_watermark, 20);
}

pub(crate) async fn sent_again(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    for sequence in 0..6 {
        assert_eq!(send(&mut client, &topic, batch(1).by(id, 0, sequence)).await, (0, i64::from(sequence)));
    }
    for sequence in 1..6 {
        let answer = produce(&mut client, &topic, batch(1).by(id, 0, sequence).encode()).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(sequence)));
        assert_eq!(answer.log_append_time_ms, batch(1).timestamp, "-1 is of a batch that was appended now");
    }

    assert_eq!(send(&mut client, &topic, batch(1).by(id, 0, 0)).await, (45, -1), "the sixth from the end");
    let other_contents = batch(1).by(id, 0, 5).sized(500).at(1_700_000_009_999);
    assert_eq!(send(&mut client, &topic, other_contents).await, (0, 5));
    assert_eq!(fetch(&mut client, &topic, 0, 1).await.high_watermark, 6);
}

pub(crate) async fn split_otherwise(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    assert_eq!(send(&mut client, &topic, batch(10).by(id, 0, 0)).await, (0, 0));
    assert_eq!(send(&mut client, &topic, batch(10).by(id, 0, 10)).await, (0, 10));
    for (count, sequence) in [(5, 10), (10, 5), (5, 15), (20, 0), (11, 10), (1, 21), (1, 1000)] {
        let answer = produce(&mut client, &topic, batch(count).by(id, 0, sequence).encode()).await;
        assert_eq!((answer.error_code, answer.base_offset), (45, -1), "{sequence}+{count}");
    }
    assert_eq!(send(&mut client, &topic, batch(1).by(id, 0, 20)).await, (0, 20));
}

pub(crate) async fn epochs(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 0, 0)).await, (0, 0));
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 1, 2)).await, (45, -1));
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 1, 0)).await, (0, 2));
    for sequence in [0, 2, 4] {
        assert_eq!(send(&mut client, &topic, batch(2).by(id, 0, sequence)).await, (47, -1));
    }
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 1, 0)).await, (0, 2));
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 1, 2)).await, (0, 4));
}

pub(crate) async fn wrap_and_first(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 0, i32::MAX - 1)).await, (0, 0), "any first sequence");
    assert_eq!(send(&mut client, &topic, batch(2).by(id, 0, 0)).await, (0, 2));
    let id = producer_id(&mut client).await;
    assert_eq!(send(&mut client, &topic, batch(3).by(id, 0, i32::MAX)).await, (0, 4));
    assert_eq!(send(&mut client, &topic, batch(3).by(id, 0, i32::MAX)).await, (0, 4));
    assert_eq!(send(&mut client, &topic, batch(1).by(id, 0, 2)).await, (0, 7));
    // An id that was never assigned, with a first epoch that is not 0.
    let never_given = 4_000_000_000_000_000_000;
    assert_eq!(send(&mut client, &topic, batch(1).by(never_given, 3, 17)).await, (0, 8));
}

pub(crate) async fn producer_ids(target: Arc<Target>) {
    let mut client = target.client().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(producer_id(&mut client).await);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);

    for version in 0..=5 {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1000);
        let request =
            if version >= 3 { request.with_producer_id(ids[0].into()).with_producer_epoch(7) } else { request };
        let answer = client.call(version, request).await;
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
        assert!(!ids.contains(&answer.producer_id.0), "a new id, whatever the client had");
    }
}

pub(crate) async fn described(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let id = producer_id(&mut client).await;
    send(&mut client, &topic, batch(3).by(id, 0, 40)).await;
    let asked = |name: &str, partition| {
        let topic = TopicRequest::default().with_name(topic_name(name)).with_partition_indexes(vec![partition]);
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    let answer = client.call(0, asked(&topic.name, 0)).await;
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.active_producers.len()), (0, 1));

    let producer = &partition.active_producers[0];
    assert_eq!((producer.producer_id.0, producer.producer_epoch, producer.last_sequence), (id, 0, 42));
    assert_eq!((producer.last_timestamp, producer.current_txn_start_offset), (1_700_000_000_002, -1));
    assert_eq!(producer.coordinator_epoch, -1);

    for (name, partition) in [(topic.name.as_str(), 1), ("no-such-topic", 0)] {
        let answer = client.call(0, asked(name, partition)).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 3);
    }
}
