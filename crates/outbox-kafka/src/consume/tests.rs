//! Tests of decoding malformed and well-formed bytes, and of fetching from the testkit's broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outbox_core::record::Record as Plain;
use outbox_testkit::{Broker, Fault, RecordBatch, ResponseError};
use proptest::collection::vec;
use proptest::prelude::*;

use super::aborted::AbortedTransaction;
use super::decoder::{Answer, Decoder, Limits};
use super::{Budget, FetchLimits, Fetched, Fetcher, PartitionStream, Record, Unreadable};
use crate::{BatchBuilder, Cluster, Compression, Producer, RecordBody, Settings};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const HEADER: usize = 61;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const COUNT: usize = 57;
const TOPIC: &str = "consumed";

type Headers = Vec<(String, Option<Vec<u8>>)>;
type Fields = (Option<Vec<u8>>, Option<Vec<u8>>, Headers);

fn fields() -> impl Strategy<Value = Fields> {
    let field = || prop_oneof![Just(None), vec(any::<u8>(), 0..200).prop_map(Some)];
    (field(), field(), vec(("[a-c]{0,2}", field()), 0..5))
}

/// Returns a batch at an offset, of a codec.
fn batch(offset: i64, codec: Compression, records: &[Fields]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec, 1000);
    for (at, (key, value, headers)) in (1_000..).zip(records) {
        builder.append(at, &RecordBody::new(key.as_deref(), value.as_deref(), headers));
    }
    let mut batch = builder.finish(Producer::NONE).unwrap().unwrap().to_vec();
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch
}

fn values(offset: i64, count: i64) -> Vec<u8> {
    let records: Vec<Fields> = (offset..offset + count).map(|n| (None, Some(n.to_be_bytes().into()), vec![])).collect();
    batch(offset, Compression::None, &records)
}

/// Corrects the checksum of a batch.
fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn decoder(offset: i64, batches: impl Into<Bytes>, end: i64, aborted: Vec<AbortedTransaction>) -> Decoder {
    let limits = Limits { decompressed: 1 << 20, budget: Budget::new(1 << 20) };
    Decoder::new(Answer { offset, batches: batches.into(), aborted, end }, limits)
}

/// Returns all records, by pieces of a size, and why it ended if not at the end; and the next offset.
fn all(mut decoder: Decoder, piece: usize) -> (Vec<Record>, Option<Unreadable>, i64) {
    let mut records = Vec::new();
    loop {
        match decoder.decode(&mut records, piece) {
            Ok(true) => {}
            Ok(false) => return (records, None, decoder.next()),
            Err(e) => return (records, Some(e), decoder.next()),
        }
    }
}

fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.offset()).collect()
}

proptest! {
    #[test]
    fn records_are_those_that_were_encoded(
        batches in vec(vec(fields(), 1..8), 1..5), codec in 0..5_usize, from in any::<prop::sample::Index>(),
        piece in 1..4_000_usize, cut in 0..70_usize,
    ) {
        let (mut log, mut sent) = (Vec::new(), Vec::new());
        for records in &batches {
            log.extend(batch(i64::try_from(sent.len()).unwrap(), CODECS[codec], records));
            sent.extend(records.iter().cloned());
        }

        log.extend(log.clone().into_iter().take(cut.min(HEADER)));
        let from = from.index(sent.len());
        let offset = i64::try_from(from).unwrap();
        let (records, failed, next) = all(decoder(offset, log, i64::MAX, vec![]), piece);
        prop_assert_eq!((failed, usize::try_from(next).unwrap()), (None, sent.len()));
        prop_assert_eq!(offsets(&records), (offset..next).collect::<Vec<_>>());

        for (record, (key, value, headers)) in records.iter().zip(&sent[from..]) {
            prop_assert_eq!((record.key(), record.value()), (key.as_deref(), value.as_deref()));
            let read: Headers = record
                .headers()
                .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(&read, headers);
        }
    }

    #[test]
    fn hostile_bytes_are_no_panic_and_deliver_in_order(
        records in vec(fields(), 1..6), codec in 0..5_usize, sealed in any::<bool>(), cut in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut log = values(0, 3);
        let mut bad = batch(3, CODECS[codec], &records);
        for (place, byte) in changes {
            let length = bad.len();
            bad[place.index(length)] = byte;
        }
        if sealed {
            seal(&mut bad);
        }

        bad.truncate(cut.index(bad.len() * 2));
        log.extend(bad);
        let (records, failed, next) = all(decoder(0, log, i64::MAX, vec![]), 64);
        let offsets = offsets(&records);
        prop_assert!(offsets.starts_with(&[0, 1, 2]) && offsets.is_sorted_by(|a, b| a < b));

        if let Some(failed) = failed {
            prop_assert!(failed.offset == next && offsets.iter().all(|offset| *offset < failed.offset));
        }
    }
}

/// Reads a batch written out by hand from the protocol's documentation: one record with the key `k`, the value `v` and
/// the header `h` with a null value.
#[test]
fn golden_bytes_are_read() {
    let mut golden: Vec<u8> = vec![
        0, 0, 0, 0, 0, 0, 0, 9, // base offset
        0, 0, 0, 61, // length
        0, 0, 0, 0, 2, 0, 0, 0, 0, // leader epoch, magic, checksum
        0, 8, // LogAppendTime
        0, 0, 0, 0, // last offset delta
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, // base and largest timestamp
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, // no producer
        0, 0, 0, 1, // one record
        22, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1,
    ];
    seal(&mut golden);

    let (records, failed, next) = all(decoder(0, golden, i64::MAX, vec![]), 1);
    assert_eq!((records.len(), failed, next), (1, None, 10));
    assert_eq!((records[0].offset(), records[0].timestamp()), (9, 7));
    assert_eq!((records[0].key(), records[0].value()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(records[0].headers().collect::<Vec<_>>(), [(&b"h"[..], None)]);
}

#[test]
fn a_bad_batch_costs_no_record_before_it_and_its_place_is_exact() {
    let mut log = values(0, 3);
    let mut bad = values(3, 4);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    log.extend(&bad);
    let (records, failed, next) = all(decoder(1, log.clone(), i64::MAX, vec![]), usize::MAX);
    let failed = failed.unwrap();
    assert_eq!((offsets(&records), failed.offset, failed.first, failed.last, next), (vec![1, 2], 3, 3, 6, 3));

    // A record in the middle of a batch: its key is longer than the record.
    let mut log = values(0, 3);
    let record = (log.len() - HEADER) / 3;
    log[HEADER + record + 4] = 0x7e;
    seal(&mut log);
    let (records, failed, next) = all(decoder(0, log, i64::MAX, vec![]), usize::MAX);
    let failed = failed.unwrap();
    assert_eq!((offsets(&records), failed.offset, failed.first, failed.last, next), (vec![0], 1, 0, 2, 1));

    // Fewer records than the header says; the batch has an offset for the missing one, or not.
    for last_offset_delta in [3, 2] {
        let mut log = values(0, 3);
        (log[LAST_OFFSET_DELTA + 3], log[COUNT + 3]) = (last_offset_delta, 4);
        seal(&mut log);
        let (records, failed, next) = all(decoder(0, log, i64::MAX, vec![]), usize::MAX);
        assert_eq!((offsets(&records), failed.map(|failed| failed.offset), next), (vec![0, 1, 2], Some(3), 3));
    }
}

#[test]
fn a_small_batch_that_decompresses_to_too_much_is_unreadable() {
    for codec in &CODECS[1..] {
        let bomb = batch(0, *codec, &[(None, Some(vec![0; 2 << 20]), vec![])]);
        let (records, failed, _) = all(decoder(0, bomb, i64::MAX, vec![]), usize::MAX);
        assert!(records.is_empty() && failed.unwrap().offset == 0, "{codec:?}");
    }
}

#[test]
fn compacted_batches_and_open_transactions_deliver_nothing() {
    let mut empty = values(0, 5);
    empty.truncate(HEADER);
    empty[COUNT..HEADER].fill(0);
    let length = i32::try_from(empty.len() - 12).unwrap();
    empty[8..12].copy_from_slice(&length.to_be_bytes());
    seal(&mut empty);
    let mut log = empty;
    log.extend(values(5, 2));
    log.extend(values(7, 2));
    let (records, failed, next) = all(decoder(2, log, 7, vec![]), usize::MAX);
    assert_eq!((offsets(&records), failed, next), (vec![5, 6], None, 7));
}

async fn broker() -> Broker {
    let broker = Broker::builder().without_auto_creation().start().await.unwrap();
    broker.create_topic(TOPIC, 3).unwrap();
    broker
}

fn fetcher(broker: &Broker, limits: FetchLimits) -> Fetcher {
    let settings = Settings { request_timeout: Duration::from_secs(60), ..Settings::new([broker.address()]) };
    Fetcher::new(Arc::new(Cluster::new(settings)), limits)
}

async fn open(fetcher: &Fetcher, partition: i32, offset: i64) -> PartitionStream {
    let topic = fetcher.cluster().topic(TOPIC).await.unwrap().unwrap();
    fetcher.open(&topic, partition, offset)
}

async fn read_to(stream: &mut PartitionStream, end: i64) -> Vec<Record> {
    let mut all = Vec::new();
    while stream.position() < end {
        let Fetched::Records { records, .. } = stream.next().await.unwrap() else { panic!("no records") };
        all.extend(records);
    }
    all
}

fn plain(value: &str) -> Plain {
    let mut record = Plain::new(TOPIC);
    record.value = Some(Bytes::copy_from_slice(value.as_bytes()));
    record
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.value().unwrap()).unwrap()).collect()
}

/// Each answer has one batch, so that transactions span answers.
#[tokio::test]
async fn aborted_transactions_are_never_delivered_also_if_they_exceed_one_fetch() {
    let broker = broker().await;
    let limits = FetchLimits { partition: 1, request: 1, ..FetchLimits::default() };
    let (mut kept, mut aborted) = (broker.begin_transaction(), broker.begin_transaction());
    for n in 0..20 {
        kept.append(TOPIC, 0, plain(&format!("kept {n}"))).unwrap();
        aborted.append(TOPIC, 0, plain(&format!("aborted {n}"))).unwrap();
        broker.append(TOPIC, 0, plain(&format!("plain {n}"))).unwrap();
    }
    aborted.abort();
    kept.commit();
    broker.append(TOPIC, 0, plain("last")).unwrap();
    let mut open_one = broker.begin_transaction();
    open_one.append(TOPIC, 0, plain("open")).unwrap();
    broker.append(TOPIC, 0, plain("behind the open one")).unwrap();

    let mut expected: Vec<String> = (0..20).flat_map(|n| [format!("kept {n}"), format!("plain {n}")]).collect();
    expected.push("last".to_owned());
    let fetcher = fetcher(&broker, limits);
    // Also from within the transactions.
    for from in [0, 31] {
        let mut stream = open(&fetcher, 0, from).await;
        let records = read_to(&mut stream, 63).await;
        let skipped = usize::try_from(from).unwrap() / 3 * 2 + usize::from(from % 3 > 0);
        assert_eq!(texts(&records), expected[skipped..]);
        assert_eq!(stream.position(), 63);
        let Fetched::Records { records, next, end } = stream.next().await.unwrap() else { panic!("no answer") };
        assert!(records.is_empty() && (next, end) == (63, 63));
    }
    open_one.abort();
    let mut stream = open(&fetcher, 0, 60).await;
    assert_eq!(texts(&read_to(&mut stream, 66).await), ["last", "behind the open one"]);
}

#[tokio::test]
async fn failures_of_brokers_are_retried_and_cost_no_record() {
    let broker = broker().await;
    for n in 0..9 {
        broker.append(TOPIC, n % 3, plain(&n.to_string())).unwrap();
    }

    let errors = [
        ResponseError::NotLeaderOrFollower,
        ResponseError::FencedLeaderEpoch,
        ResponseError::UnknownLeaderEpoch,
        ResponseError::OffsetNotAvailable,
        ResponseError::KafkaStorageError,
        ResponseError::UnknownServerError,
        ResponseError::ReplicaNotAvailable,
        ResponseError::UnknownTopicOrPartition,
    ];
    for error in errors {
        broker.faults().inject(Fault::reject_fetch(error).on(TOPIC, 1).times(2));
    }

    broker.faults().inject(Fault::throttle(Duration::from_millis(50)).on(TOPIC, 2).times(2));
    let fetcher = fetcher(&broker, FetchLimits::default());
    for partition in 0..3 {
        let mut stream = open(&fetcher, partition, 0).await;
        let expected: Vec<String> = (0..3).map(|n| (n * 3 + partition).to_string()).collect();
        assert_eq!(texts(&read_to(&mut stream, 3).await), expected);
    }
}

#[tokio::test]
async fn a_small_budget_slows_partitions_and_stops_none() {
    let broker = broker().await;
    let value = "x".repeat(50_000);
    for n in 0..90 {
        broker.append(TOPIC, n % 3, plain(&value)).unwrap();
    }

    let fetcher = fetcher(&broker, FetchLimits { budget: 1, ..FetchLimits::default() });
    let mut streams = [open(&fetcher, 0, 0).await, open(&fetcher, 1, 0).await, open(&fetcher, 2, 0).await];
    // The records of one partition are held while the others are read.
    let held = read_to(&mut streams[0], 1).await;
    for stream in &mut streams {
        let from = stream.position();
        assert_eq!(offsets(&read_to(stream, 30).await), (from..30).collect::<Vec<_>>());
    }
    assert!(fetcher.used() >= 50_000);
    drop((held, streams));
}

#[tokio::test]
async fn an_offset_that_is_not_there_and_a_bad_batch_are_reported_and_left_by_a_seek() {
    let broker = broker().await;
    broker.append(TOPIC, 0, plain("0")).unwrap();
    let mut bad = values(0, 2);
    bad[17] ^= 1;
    broker.append(TOPIC, 0, RecordBatch::from_bytes(bad)).unwrap();
    broker.append(TOPIC, 0, plain("3")).unwrap();
    let fetcher = fetcher(&broker, FetchLimits::default());
    let mut stream = open(&fetcher, 0, 7).await;
    assert!(matches!(stream.next().await.unwrap(), Fetched::OutOfRange));
    stream.seek(0);
    assert_eq!(texts(&read_to(&mut stream, 1).await), ["0"]);

    for _ in 0..2 {
        let Fetched::Unreadable(e) = stream.next().await.unwrap() else { panic!("it was read") };
        assert_eq!((e.offset, e.first, e.last), (1, 1, 2));
    }

    stream.seek(3);
    assert_eq!(texts(&read_to(&mut stream, 4).await), ["3"]);
}

#[tokio::test]
async fn a_compacted_partition_is_read_over_its_gaps() {
    let broker = broker().await;
    for n in 0..10 {
        let mut record = plain(&n.to_string());
        record.key = Some(Bytes::from_static(if n % 2 == 0 { b"even" } else { b"odd" }));
        broker.append(TOPIC, 0, record).unwrap();
    }
    broker.compact(TOPIC, 0).unwrap();
    let fetcher = fetcher(&broker, FetchLimits { partition: 1, ..FetchLimits::default() });
    let mut stream = open(&fetcher, 0, 0).await;
    assert_eq!(offsets(&read_to(&mut stream, 10).await), [7, 8, 9]);
}
