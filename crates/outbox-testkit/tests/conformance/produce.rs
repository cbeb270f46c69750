use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::records::{PRODUCE, base_offset, batch, fetch, produce, produce_request, send};
use super::target::{Target, Topic};

pub(crate) async fn every_version(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    for (version, expected) in (3..=13).zip((0..).step_by(2)) {
        let answer = client.call(version, produce_request(&topic, 0, version, batch(2).encode())).await;
        assert_eq!(answer.throttle_time_ms, 0);
        let response = &answer.responses[0];
        assert_eq!(response.topic_id, if version >= 13 { topic.id } else { Uuid::nil() });
        let partition = &response.partition_responses[0];
        assert_eq!((partition.index, partition.error_code, partition.base_offset), (0, 0, expected));
        assert_eq!(partition.log_append_time_ms, -1);
        assert_eq!(partition.log_start_offset, if version >= 5 { 0 } else { -1 });
    }

    let sent = batch(2).encode();
    let stored = fetch(&mut client, &topic, 0, 1).await.records.unwrap();
    assert_eq!(stored[16..], sent[16..], "as received, from the format on");
    assert_eq!((base_offset(&stored), &stored[12..16]), (0, &[0; 4][..]));
}

pub(crate) async fn acks(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let request = |acks| produce_request(&topic, 0, PRODUCE, batch(1).encode()).with_acks(acks);
    // No answer to the first one: the next frame answers the second.
    client.send(PRODUCE, &request(0)).await;
    let answer = client.call(PRODUCE, request(1)).await;
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);

    let answer = client.call(PRODUCE, request(2)).await;
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.base_offset), (21, -1));
    let nowhere = Topic { name: "no-such-topic".to_owned(), id: Uuid::nil() };
    client.send(PRODUCE, &produce_request(&nowhere, 0, PRODUCE, batch(1).encode()).with_acks(0)).await;
    client.assert_closed().await;
}

/// Returns a batch with bytes overwritten and the CRC put right.
fn changed(sent: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut changed = BytesMut::from(&sent[..]);
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&changed[21..]);
    changed[17..21].copy_from_slice(&crc.to_be_bytes());
    changed.freeze()
}

pub(crate) async fn refused_batches(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let sent = batch(3).encode();
    let mut wrong_crc = BytesMut::from(&sent[..]);
    wrong_crc[20] ^= 1;

    let id = 4_000_000_000_i64;
    let cases = [
        ("wrong CRC", wrong_crc.freeze(), 2),
        ("too large", batch(1).sized(1_048_588).encode(), 10),
        ("nothing", Bytes::new(), 87),
        ("two batches", [&sent[..], &sent[..]].concat().into(), 87),
        ("a short batch", sent.slice(..sent.len() - 1), 87),
        ("a short header", sent.slice(..30), 87),
        ("a base offset", changed(&sent, 0, &5_i64.to_be_bytes()), 87),
        ("format 1", changed(&sent, 16, &[1]), 87),
        ("more records said", changed(&sent, 57, &4_i32.to_be_bytes()), 87),
        ("a larger last offset", changed(&sent, 23, &3_i32.to_be_bytes()), 87),
        ("no record said", changed(&changed(&sent, 57, &0_i32.to_be_bytes()), 23, &(-1_i32).to_be_bytes()), 87),
        ("a control batch", changed(&sent, 21, &0x20_i16.to_be_bytes()), 87),
        ("malformed records", changed(&sent, 61, &[100]), 87),
        ("no sequence", batch(1).by(id, 0, -1).encode(), 87),
    ];

    for (case, records, expected) in cases {
        let answer = produce(&mut client, &topic, records).await;
        assert_eq!((answer.error_code, answer.base_offset), (expected, -1), "{case}: {answer:?}");
    }
    assert_eq!(send(&mut client, &topic, batch(1)).await, (0, 0), "nothing of it was appended");
}

pub(crate) async fn refused_partitions(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let nowhere = Topic { name: "no-such-topic".to_owned(), id: Uuid::now_v7() };
    for (topic, partition, version, expected) in
        [(&topic, 1, 12, 3), (&topic, -1, 12, 3), (&topic, 1, 13, 3), (&nowhere, 0, 12, 3), (&nowhere, 0, 13, 100)]
    {
        let request = produce_request(topic, partition, version, batch(1).encode());
        let answer = client.call(version, request).await;
        let response = &answer.responses[0].partition_responses[0];
        assert_eq!((response.error_code, response.index, response.base_offset), (expected, partition, -1));
    }
}

pub(crate) async fn refused_records(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    // The limit is an hour ahead. Versions up to 7 do not name the records.
    let late = batch(3).at(now + 3_700_000).encode();
    for version in [3, 7] {
        let answer = client.call(version, produce_request(&topic, 0, version, late.clone())).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 32);
    }

    let answer = produce(&mut client, &topic, late).await;
    assert_eq!(answer.error_code, 32, "{answer:?}");
    assert_eq!(answer.record_errors.iter().map(|record| record.batch_index).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(answer.error_message.is_some());
    assert_eq!(send(&mut client, &topic, batch(1).at(now + 3_500_000)).await, (0, 0));
    assert_eq!(send(&mut client, &topic, batch(1).at(-1)).await, (0, 1), "no timestamp");
    assert_eq!(send(&mut client, &topic, batch(1).at(0)).await, (0, 2));
}

pub(crate) async fn settings_of_the_topic(target: Arc<Target>) {
    let mut client = target.client().await;
    let compacted = target.topic_with(1, &[("cleanup.policy", "compact")]).await;
    let answer = produce(&mut client, &compacted, batch(2).encode()).await;
    assert_eq!(answer.error_code, 87);
    assert_eq!(answer.record_errors.len(), 2);
    let small = target.topic_with(1, &[("max.message.bytes", "100")]).await;
    assert_eq!(send(&mut client, &small, batch(1).sized(10)).await, (0, 0));
    assert_eq!(send(&mut client, &small, batch(1).sized(50)).await, (10, -1));
    let old = target.topic_with(1, &[("message.timestamp.before.max.ms", "60000")]).await;
    assert_eq!(send(&mut client, &old, batch(1)).await, (32, -1));
    let replicated = target.topic_with(1, &[("min.insync.replicas", "2")]).await;
    assert_eq!(send(&mut client, &replicated, batch(1)).await, (0, 0), "no more than there are replicas");
}
