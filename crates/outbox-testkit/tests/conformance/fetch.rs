use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;
use uuid::Uuid;

use super::records::{FETCH, base_offset, batch, fetch, fetch_request, from, produce_request, send};
use super::target::{Target, Topic};

pub(crate) async fn every_version(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    send(&mut client, &topic, batch(3)).await;

    for version in 4..=18 {
        for isolation in [0, 1] {
            let request = fetch_request(&topic, version, vec![from(0, 1, 1_000_000)]).with_isolation_level(isolation);
            let answer = client.call(version, request).await;
            assert_eq!((answer.error_code, answer.session_id, answer.throttle_time_ms), (0, 0, 0));
            let response = &answer.responses[0];
            assert_eq!(response.topic_id, if version >= 13 { topic.id } else { Uuid::nil() });

            let partition = &response.partitions[0];
            assert_eq!((partition.partition_index, partition.error_code), (0, 0));
            assert_eq!((partition.high_watermark, partition.last_stable_offset), (3, 3));
            assert_eq!(partition.log_start_offset, if version >= 5 { 0 } else { -1 });
            assert_eq!(partition.aborted_transactions.as_ref().map(Vec::len), (isolation == 1).then_some(0));
            assert_eq!(partition.preferred_read_replica.0, -1);
            let records = partition.records.as_ref().unwrap();
            assert_eq!(base_offset(records), 0, "the whole batch that has offset 1");
            assert_eq!(records.len(), batch(3).encode().len());
        }
    }
}

pub(crate) async fn bounds(target: Arc<Target>) {
    let topic = target.topic(2).await;
    let mut client = target.client().await;
    let size = i32::try_from(batch(1).encode().len()).unwrap();

    for _ in 0..3 {
        send(&mut client, &topic, batch(1)).await;
        client.call(12, produce_request(&topic, 1, 12, batch(1).encode())).await;
    }

    let length = |records: Option<bytes::Bytes>| i32::try_from(records.unwrap_or_default().len()).unwrap();
    for (max_bytes, expected) in [
        (0, size),
        (size - 1, size),
        (size, size),
        (size + 1, size + 1),
        (2 * size + 10, 2 * size + 10),
        (i32::MAX, 3 * size),
    ] {
        assert_eq!(length(fetch(&mut client, &topic, 0, max_bytes).await.records), expected, "{max_bytes}");
    }

    // The second partition has what the first leaves, and no batch that is larger than that.
    for (total, each, expected) in [
        (size, i32::MAX, [size, 0]),
        (3 * size + 5, i32::MAX, [3 * size, 0]),
        (4 * size + 5, i32::MAX, [3 * size, size + 5]),
        (i32::MAX, size, [size, size]),
        (i32::MAX, size - 1, [size, 0]),
    ] {
        let request = fetch_request(&topic, FETCH, vec![from(0, 0, each), from(1, 0, each)]).with_max_bytes(total);
        let answer = client.call(FETCH, request).await;
        let mut got = [0; 2];
        for partition in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            got[usize::try_from(partition.partition_index).unwrap()] = length(partition.records);
        }
        assert_eq!(got, expected, "{total} {each}");
    }
}

pub(crate) async fn errors(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    send(&mut client, &topic, batch(3)).await;

    let nowhere = Topic { name: "no-such-topic".to_owned(), id: Uuid::now_v7() };
    let at_end = fetch(&mut client, &topic, 3, 1000).await;
    assert_eq!((at_end.error_code, at_end.records.unwrap_or_default().len()), (0, 0));

    for (topic, version, wanted, expected) in [
        (&topic, 12, from(0, 4, 1000), 1),
        (&topic, 12, from(0, -1, 1000), 1),
        (&topic, 12, from(1, 0, 1000), 3),
        (&nowhere, 12, from(0, 0, 1000), 3),
        (&nowhere, 13, from(0, 0, 1000), 100),
        (&topic, 12, from(0, 0, 1000).with_current_leader_epoch(0), 0),
        (&topic, 12, from(0, 0, 1000).with_current_leader_epoch(1), 75),
    ] {
        // An error is answered at once, whatever the wait.
        let request = fetch_request(topic, version, vec![wanted.clone()]).with_max_wait_ms(20_000);
        let answer = client.call(version, request).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, expected, "{wanted:?}");
        if expected != 0 {
            assert_eq!((partition.high_watermark, partition.log_start_offset), (-1, -1), "{partition:?}");
            assert!(partition.records.as_ref().is_none_or(bytes::Bytes::is_empty));
        }
    }

    for (id, epoch) in [(7, 1), (0, 1)] {
        let request = fetch_request(&topic, 12, vec![from(0, 0, 1000)]);
        let answer = client.call(12, request.with_session_id(id).with_session_epoch(epoch)).await;
        assert_eq!((answer.error_code, answer.responses.len()), (70, 0));
    }
}

pub(crate) async fn long_poll(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let (mut reader, mut writer) = (target.client().await, target.client().await);
    let wait = |min_bytes, max_wait| {
        let request = fetch_request(&topic, FETCH, vec![from(0, 0, 1_000_000)]);
        request.with_min_bytes(min_bytes).with_max_wait_ms(max_wait)
    };

    // Kafka describes a new topic before it serves it.
    while reader.call(FETCH, wait(0, 0)).await.responses[0].partitions[0].error_code != 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let started = Instant::now();
    let answer = reader.call(FETCH, wait(1, 300)).await;
    assert!(started.elapsed() >= Duration::from_millis(290), "it waits: {answer:?}");
    assert!(answer.responses[0].partitions[0].records.as_ref().is_none_or(bytes::Bytes::is_empty));
    reader.send(FETCH, &wait(1, 100_000)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(&mut writer, &topic, batch(1)).await;
    let started = Instant::now();
    let answer = reader.receive::<kafka_protocol::messages::FetchRequest>(FETCH).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(90), "it wakes up");
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);

    // Two batches are less than asked for, three are enough.
    let size = i32::try_from(batch(1).encode().len()).unwrap();
    reader.send(FETCH, &wait(2 * size + 1, 25_000)).await;
    send(&mut writer, &topic, batch(1)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(&mut writer, &topic, batch(1)).await;
    let answer = reader.receive::<kafka_protocol::messages::FetchRequest>(FETCH).await.unwrap();
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 3);
}

/// Checks that a request behind a waiting one on the same connection is answered after it.
pub(crate) async fn order_of_requests(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let request = fetch_request(&topic, FETCH, vec![from(0, 0, 1000)]).with_max_wait_ms(200);
    client.send(FETCH, &request).await;
    client.send(0, &ApiVersionsRequest::default()).await;
    for correlation_id in [1, 2] {
        let frame = client.receive_raw().await.unwrap();
        assert_eq!(frame[..4], i32::to_be_bytes(correlation_id));
    }
}
