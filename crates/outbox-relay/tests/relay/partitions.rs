use std::collections::BTreeMap;

use outbox_core::bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::RelayEnv;
use crate::load::Load;

/// An event that is unconfirmed when a relay sees the new partitions may be in its old and its new partition, and
/// nowhere twice.
#[tokio::test]
async fn partitions_that_are_added_under_load_lose_nothing() {
    let fixture = RelayEnv::new(2).await;
    let relay = fixture.start();
    let load = Load::start(&fixture, 20);
    load.writes(200).await;
    fixture.all_arrived().await;
    add_partitions(&fixture, 5).await;
    load.writes(200).await;
    relay.kill().await;
    load.writes(100).await;

    let relay = fixture.start();
    load.writes(200).await;
    load.end().await;
    fixture.all_arrived().await;
    fixture.confirmed().await;

    let places = fixture.places().await;
    let doubled = places.values().filter(|partitions| partitions.len() > 1).count();
    eprintln!("{doubled} of {} events are in their old and in their new partition", places.len());
    for (number, partitions) in places {
        assert!(partitions.is_sorted_by(|a, b| a < b), "{number} is twice in one partition: {partitions:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn partitions_that_are_added_while_nothing_is_unconfirmed_double_nothing() {
    let fixture = RelayEnv::new(2).await;
    let relay = fixture.start();
    fixture.enqueue_each(20, 0..200).await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
    add_partitions(&fixture, 5).await;
    let relay = fixture.start();
    fixture.enqueue_each(20, 200..500).await;
    fixture.all_arrived().await;
    fixture.confirmed().await;
    let places = fixture.places().await;
    assert_eq!(places.len(), 500);

    let doubled: BTreeMap<_, _> = places.iter().filter(|(_, partitions)| partitions.len() > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");

    let used = |numbers: std::ops::Range<i64>| places.range(numbers).map(|(_, places)| places[0]).max();
    assert_eq!((used(0..200), used(200..500)), (Some(1), Some(4)));
    relay.stop().await;
}

async fn add_partitions(fixture: &RelayEnv, count: i32) {
    let mut body = BytesMut::new();
    body.put_i16(37); // CreatePartitions
    body.put_i16(0);
    body.put_i32(7);
    body.put_i16(-1); // no client id
    body.put_i32(1);
    body.put_i16(i16::try_from(fixture.topic.len()).unwrap());
    body.put_slice(fixture.topic.as_bytes());
    body.put_i32(count);
    body.put_i32(-1); // wherever
    body.put_i32(10_000);
    body.put_i8(0); // not only a check
    let mut broker = TcpStream::connect(&fixture.brokers).await.unwrap();
    broker.write_i32(i32::try_from(body.len()).unwrap()).await.unwrap();
    broker.write_all(&body).await.unwrap();
    let mut answer = vec![0; usize::try_from(broker.read_i32().await.unwrap()).unwrap()];
    broker.read_exact(&mut answer).await.unwrap();

    // The id, a throttle time, one topic, its name, and the error.
    let error = &answer[4 + 4 + 4 + 2 + fixture.topic.len()..][..2];
    assert_eq!(error, [0, 0], "{answer:?}");

    while fixture.ends(&fixture.topic).await.len() < usize::try_from(count).unwrap() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
