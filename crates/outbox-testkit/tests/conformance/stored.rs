//! Logs that hold more than plain records: times of the append, any headers, and gaps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{InitProducerIdRequest, ListOffsetsRequest};

use super::client::{Client, topic_name};
use super::records::{batch, batches, fetch, now, produce, produced, record_bytes, records_of, with_payload};
use super::target::{Target, Topic};

async fn offset_at(client: &mut Client, topic: &Topic, timestamp: i64) -> (i64, i64) {
    let wanted = ListOffsetsPartition::default().with_timestamp(timestamp);
    let wanted = ListOffsetsTopic::default().with_name(topic_name(&topic.name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![wanted]);
    let found = client.call(7, request).await.topics[0].partitions[0].clone();
    (found.timestamp, found.offset)
}

pub(crate) async fn log_append_time(target: Arc<Target>) {
    let topic = target.topic_with(1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut client = target.client().await;
    let init = client.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await;
    let sent = batch(3).by(init.producer_id.0, 0, 0).at(now() + 86_400_000);
    let before = now();
    let answer = produce(&mut client, &topic, sent.encode()).await;
    let appended = answer.log_append_time_ms;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0), "the producer's times have no bounds");
    assert!((before..=now()).contains(&appended), "{appended}");
    let again = produce(&mut client, &topic, sent.encode()).await;
    assert_eq!((again.base_offset, again.log_append_time_ms), (0, appended));

    let stored = fetch(&mut client, &topic, 0, 1).await.records.unwrap();
    let encoded = sent.encode();
    assert_eq!(stored[21..23], 0x08_i16.to_be_bytes(), "the timestamp type");
    assert_eq!(stored[27..35], encoded[27..35], "the base timestamp is the producer's");
    assert_eq!(stored[35..43], appended.to_be_bytes());
    assert_eq!(stored[43..], encoded[43..]);
    assert_eq!(stored[17..21], crc32c::crc32c(&stored[21..]).to_be_bytes());
    assert_eq!(offset_at(&mut client, &topic, appended).await, (appended, 0));
    assert_eq!(offset_at(&mut client, &topic, appended + 1).await, (-1, -1));
}

pub(crate) async fn any_headers(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let headers: &[(&str, Option<&[u8]>)] =
        &[("id", Some(b"1")), ("none", None), ("id", Some(b"2")), ("", Some(b"")), ("id", None)];
    let payload = record_bytes(0, Some(b"key"), None, headers);
    let sent = with_payload(&batch(1).encode(), &payload);
    assert_eq!(produced(&mut client, &topic, sent.clone()).await, (0, 0));
    let stored = fetch(&mut client, &topic, 0, 1).await.records.unwrap();
    assert_eq!(stored[16..], sent[16..], "as received");
}

/// Returns a batch of records with these keys, and `value` as their values.
fn keyed(keys: &str) -> Bytes {
    let payload: Vec<_> = (0..)
        .zip(keys.bytes())
        .flat_map(|(delta, key)| record_bytes(delta, Some(&[key]), Some(b"value"), &[]))
        .collect();
    let count = i32::try_from(keys.len()).unwrap();
    with_payload(&batch(count).encode(), &payload)
}

/// Returns base offset, last offset, and offsets and keys of the records, for each batch.
async fn kept(client: &mut Client, topic: &Topic) -> Vec<(i64, i64, String)> {
    let (mut next, mut kept) = (0, Vec::new());
    loop {
        // A fetch ends with its segment.
        let stored = fetch(client, topic, next, 1_000_000).await.records.unwrap_or_default();
        let found = batches(&stored);
        let Some(last) = found.last() else { return kept };
        next = last.last_offset + 1;
        kept.extend(found.iter().zip(records_of(&stored)).map(|(batch, records)| {
            let records = records.iter().map(|(offset, key)| format!("{offset}{}", str::from_utf8(key).unwrap()));
            (batch.base_offset, batch.last_offset, records.collect::<Vec<_>>().join(" "))
        }));
    }
}

pub(crate) async fn compacted(target: Arc<Target>) {
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.0"),
        ("max.compaction.lag.ms", "1"),
        ("segment.ms", "1"),
    ];
    let topic = target.topic_with(1, &settings).await;
    let mut client = target.client().await;
    for keys in ["abc", "ab", "c"] {
        assert_eq!(produced(&mut client, &topic, keyed(keys)).await.0, 0);
    }
    // The newest batch is in the active segment, which is never compacted. Kafka rolls it by the records' times.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let newest = with_time(&keyed("z"), now());
    assert_eq!(produced(&mut client, &topic, newest).await, (0, 6));

    target.compact(&topic);
    let expected = [(3, 4, "3a 4b".to_owned()), (5, 5, "5c".into()), (6, 6, "6z".into())];
    for _ in 0..1200 {
        if kept(&mut client, &topic).await == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(kept(&mut client, &topic).await, expected, "a whole batch is missing");
    for offset in [0, 2] {
        let found = fetch(&mut client, &topic, offset, 1_000_000).await;
        let first = batches(&found.records.unwrap())[0].base_offset;
        assert_eq!((found.error_code, found.log_start_offset, first), (0, 0, 3), "the next batch, from {offset}");
    }

    let newest = with_time(&keyed("b"), now() + 1000);
    assert_eq!(produced(&mut client, &topic, newest).await, (0, 7));
    let newest = with_time(&keyed("y"), now() + 2000);
    assert_eq!(produced(&mut client, &topic, newest).await, (0, 8));
    target.compact(&topic);
    let expected =
        [(3, 4, "3a".to_owned()), (5, 5, "5c".into()), (6, 6, "6z".into()), (7, 7, "7b".into()), (8, 8, "8y".into())];
    for _ in 0..1200 {
        if kept(&mut client, &topic).await == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(kept(&mut client, &topic).await, expected, "a batch ends behind its last record");
}

/// Returns a batch with another time for all its records.
fn with_time(sent: &Bytes, time: i64) -> Bytes {
    let mut changed = sent.to_vec();
    changed[27..35].copy_from_slice(&time.to_be_bytes());
    changed[35..43].copy_from_slice(&time.to_be_bytes());
    let crc = crc32c::crc32c(&changed[21..]);
    changed[17..21].copy_from_slice(&crc.to_be_bytes());
    changed.into()
}
