use std::sync::Arc;

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, ListOffsetsRequest};

use super::client::{Client, topic_name};
use super::records::{base_offset, batch, fetch, send};
use super::target::{Target, Topic};

const TIME: i64 = 1_700_000_000_000;

/// Returns error code, timestamp, offset and leader epoch.
async fn list(client: &mut Client, version: i16, name: &str, wanted: ListOffsetsPartition) -> (i16, i64, i64, i32) {
    let topic = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = client.call(version, request).await;
    let found = &answer.topics[0].partitions[0];
    (found.error_code, found.timestamp, found.offset, found.leader_epoch)
}

fn at(timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition::default().with_timestamp(timestamp)
}

pub(crate) async fn listed(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    for (timestamp, expected) in
        [(-1, (0, -1, 0, 0)), (-2, (0, -1, 0, 0)), (-3, (0, -1, -1, -1)), (-4, (0, -1, 0, 0)), (0, (0, -1, -1, -1))]
    {
        assert_eq!(list(&mut client, 10, &topic.name, at(timestamp)).await, expected, "empty, {timestamp}");
    }

    send(&mut client, &topic, batch(3)).await;
    send(&mut client, &topic, batch(2)).await;
    for version in 1..=10 {
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!(list(&mut client, version, &topic.name, at(-1)).await, (0, -1, 5, epoch), "{version}");
        assert_eq!(list(&mut client, version, &topic.name, at(-2)).await, (0, -1, 0, epoch), "{version}");
    }

    assert_eq!(list(&mut client, 7, &topic.name, at(-3)).await, (0, TIME + 2, 2, 0));
    assert_eq!(list(&mut client, 9, &topic.name, at(-5)).await, (0, -1, -1, -1));
    assert_eq!(list(&mut client, 10, &topic.name, at(-99)).await.0, 35);
    assert_eq!(list(&mut client, 10, "no-such-topic", at(-1)).await, (3, -1, -1, -1));
    assert_eq!(list(&mut client, 10, &topic.name, at(-1).with_partition_index(1)).await, (3, -1, -1, -1));
    assert_eq!(list(&mut client, 10, &topic.name, at(-1).with_current_leader_epoch(1)).await.0, 75);
}

pub(crate) async fn by_timestamp(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    for time in [TIME, TIME + 100, TIME + 50] {
        send(&mut client, &topic, batch(3).at(time)).await;
    }

    for (timestamp, expected) in [
        (0, (0, TIME, 0, 0)),
        (TIME + 1, (0, TIME + 1, 1, 0)),
        (TIME + 3, (0, TIME + 100, 3, 0)),
        (TIME + 51, (0, TIME + 100, 3, 0)),
        (TIME + 102, (0, TIME + 102, 5, 0)),
        (TIME + 103, (0, -1, -1, -1)),
    ] {
        for version in [1, 4, 10] {
            let mut expected = expected;
            if version < 4 {
                expected.3 = -1;
            }
            assert_eq!(list(&mut client, version, &topic.name, at(timestamp)).await, expected, "{timestamp}");
        }
    }

    delete(&mut client, &topic, 0, 4).await;
    assert_eq!(list(&mut client, 10, &topic.name, at(0)).await, (0, TIME + 101, 4, 0));
}

/// Returns error code and low watermark.
async fn delete(client: &mut Client, topic: &Topic, partition: i32, offset: i64) -> (i16, i64) {
    let wanted = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(topic_name(&topic.name)).with_partitions(vec![wanted]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let answer = client.call(2, request).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

pub(crate) async fn deleted_records(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    send(&mut client, &topic, batch(3)).await;
    send(&mut client, &topic, batch(3)).await;
    assert_eq!(delete(&mut client, &topic, 0, 7).await, (1, -1));
    assert_eq!(delete(&mut client, &topic, 1, 0).await, (3, -1));
    assert_eq!(delete(&mut client, &topic, 0, 4).await, (0, 4));
    assert_eq!(delete(&mut client, &topic, 0, 2).await, (0, 4), "never back");
    assert_eq!(list(&mut client, 10, &topic.name, at(-2)).await.2, 4);
    assert_eq!(fetch(&mut client, &topic, 3, 1000).await.error_code, 1);

    let rest = fetch(&mut client, &topic, 4, 1000).await;
    assert_eq!((rest.log_start_offset, base_offset(&rest.records.unwrap())), (4, 3), "the batch stays whole");
    assert_eq!(delete(&mut client, &topic, 0, -1).await, (0, 6));
    assert_eq!(list(&mut client, 10, &topic.name, at(-2)).await, (0, -1, 6, 0));
    assert_eq!(list(&mut client, 10, &topic.name, at(0)).await.2, -1);
    assert_eq!(send(&mut client, &topic, batch(1)).await, (0, 6));
}
