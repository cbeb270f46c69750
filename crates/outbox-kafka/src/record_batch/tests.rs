use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{RecordBatchDecoder, TimestampType};
use proptest::collection::vec;
use proptest::prelude::*;

use super::reader::Batch;
use super::*;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

type Headers = Vec<(String, Option<Vec<u8>>)>;

#[derive(Clone, Debug, PartialEq)]
struct Sent {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![Just(None), vec(any::<u8>(), 0..40).prop_map(Some), vec(0..3_u8, 100..400).prop_map(Some)]
}

fn record() -> impl Strategy<Value = Sent> {
    let timestamp = prop_oneof![0..4_000_000_000_000_i64, Just(-1), Just(0)];
    (timestamp, field(), field(), vec(("[a-c]{0,2}", field()), 0..5))
        .prop_map(|(timestamp, key, value, headers)| Sent { timestamp, key, value, headers })
}

fn producer() -> impl Strategy<Value = Producer> {
    (0..i64::MAX, 0..i16::MAX, 0..=i32::MAX).prop_map(|(id, epoch, sequence)| Producer { id, epoch, sequence })
}

fn build(builder: &mut BatchBuilder, records: &[Sent], producer: Producer) -> Bytes {
    let mut size = 61;
    for record in records {
        size += builder.append(
            record.timestamp,
            &RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers),
        );
        assert_eq!(builder.size(), size);
    }
    assert_eq!(builder.count() as usize, records.len());
    builder.finish(producer).unwrap().unwrap()
}

fn read(batch: &Batch<'_>) -> Result<Vec<Sent>, Malformed> {
    let mut sent = Vec::new();
    let mut records = batch.records()?;

    while let Some(view) = records.next()? {
        let headers =
            view.headers().map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.map(<[u8]>::to_vec)));
        sent.push(Sent {
            timestamp: view.timestamp,
            key: view.key.map(<[u8]>::to_vec),
            value: view.value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        });
    }
    Ok(sent)
}

/// Reads all records of malformed bytes.
fn devour(bytes: &[u8]) {
    for batch in Batches::new(bytes).flatten() {
        if let Ok(mut records) = batch.records() {
            while let Ok(Some(view)) = records.next() {
                let _ = view.headers().count();
            }
        }
    }
}

/// Corrects the checksum, so that the code after the check is reached.
fn seal(batch: &mut [u8]) {
    if batch.len() > 61 {
        let size = i32::try_from(batch.len() - 12).unwrap();
        batch[8..12].copy_from_slice(&size.to_be_bytes());
        batch[16] = 2;
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

proptest! {
    #[test]
    fn another_decoder_reads_what_is_built(
        mut records in vec(record(), 1..30), producer in producer(), codec in 0..5_usize
    ) {
        // That decoder keeps only one header of each name.
        for record in &mut records {
            let mut seen = std::collections::HashSet::new();
            record.headers.retain(|(name, _)| seen.insert(name.clone()));
        }

        let batch = build(&mut BatchBuilder::new(CODECS[codec], 1000), &records, producer);
        let set = RecordBatchDecoder::decode(&mut batch.clone()).unwrap();
        prop_assert_eq!(set.records.len(), records.len());

        for (place, (theirs, ours)) in set.records.iter().zip(&records).enumerate() {
            let place = u32::try_from(place).unwrap();
            prop_assert_eq!(theirs.offset, i64::from(place));
            prop_assert_eq!(theirs.timestamp, ours.timestamp);
            prop_assert_eq!(theirs.timestamp_type, TimestampType::Creation);
            prop_assert_eq!(theirs.key.as_deref(), ours.key.as_deref());
            prop_assert_eq!(theirs.value.as_deref(), ours.value.as_deref());
            let headers: Headers =
                theirs.headers.iter().map(|(name, value)| (name.to_string(), value.as_ref().map(|v| v.to_vec()))).collect();
            prop_assert_eq!(&headers, &ours.headers);
            prop_assert_eq!(theirs.producer_id, producer.id);
            prop_assert_eq!(theirs.producer_epoch, producer.epoch);
        }
    }

    #[test]
    fn batches_in_a_row_are_read_as_built(
        batches in vec(vec(record(), 1..10), 1..5), producer in producer(), codec in 0..5_usize, cut in 1..60_usize
    ) {
        let mut builder = BatchBuilder::new(CODECS[codec], 100);
        let mut log = BytesMut::new();
        for records in &batches {
            log.extend_from_slice(&build(&mut builder, records, producer));
        }

        let whole = log.len();
        log.extend_from_slice(&log.clone()[..cut]);
        let mut size = 0;
        let mut left = batches.iter();
        for batch in Batches::new(&log) {
            let batch = batch.unwrap();
            let records = left.next().unwrap();
            size += batch.size();
            prop_assert_eq!(&read(&batch).unwrap(), records);
            let header = batch.header;
            let count = u32::try_from(records.len()).unwrap();
            prop_assert_eq!(header.producer, producer);
            prop_assert_eq!(header.count, count);
            prop_assert_eq!(header.last_offset - header.base_offset + 1, i64::from(count));
            prop_assert_eq!(header.last_sequence, producer.after(count - 1).sequence);
            prop_assert_eq!(Some(header.max_timestamp), records.iter().map(|record| record.timestamp).max());
            prop_assert!(!header.is_control && !header.is_transactional && !header.is_legacy);
        }

        prop_assert!(left.next().is_none());
        prop_assert_eq!(size, whole);
    }

    #[test]
    fn hostile_bytes_are_no_panic(mut bytes in vec(any::<u8>(), 0..300), sealed in any::<bool>()) {
        if sealed {
            seal(&mut bytes);
        }
        devour(&bytes);
    }

    #[test]
    fn mutated_batches_are_no_panic(
        records in vec(record(), 1..5), codec in 0..5_usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&mut BatchBuilder::new(CODECS[codec], 100), &records, Producer::NONE).to_vec();
        for (place, byte) in changes {
            let length = bytes.len();
            bytes[21 + place.index(length - 21)] = byte;
        }
        bytes.truncate(61.max(cut.index(bytes.len() * 2)));
        seal(&mut bytes);
        devour(&bytes);
    }
}

proptest! {
    #[test]
    fn a_body_tells_what_it_was_made_of(sent in record()) {
        let body = RecordBody::new(sent.key.as_deref(), sent.value.as_deref(), &sent.headers);
        let parts = body.parts().unwrap();
        let headers = parts.headers.iter().map(|(name, value)| {
            (String::from_utf8(name.to_vec()).unwrap(), value.map(<[u8]>::to_vec))
        });
        prop_assert_eq!(
            (parts.key, parts.value, headers.collect::<Vec<_>>()),
            (sent.key.as_deref(), sent.value.as_deref(), sent.headers.clone())
        );
    }
}

#[test]
fn a_transactions_marker_is_told_and_has_no_records() {
    let mut builder = BatchBuilder::new(Compression::None, 100);
    builder.append(5, &RecordBody::new(Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[] as &[(&str, Option<&[u8]>)]));
    let mut bytes = builder.finish(Producer { id: 7, epoch: 0, sequence: -1 }).unwrap().unwrap().to_vec();
    bytes[22] |= 1 << 4 | 1 << 5;
    seal(&mut bytes);
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    assert!(batch.header.is_control && batch.header.is_transactional);
    assert_eq!(batch.header.last_sequence, -1);
    assert_eq!(read(&batch), Ok(Vec::new()));
}

#[test]
fn the_brokers_own_time_goes_before_the_records() {
    let mut builder = BatchBuilder::new(Compression::None, 100);
    for timestamp in [5, 9, 7] {
        builder.append(timestamp, &RecordBody::new(None, None, &[] as &[(&str, Option<&[u8]>)]));
    }
    let mut bytes = builder.finish(Producer::NONE).unwrap().unwrap().to_vec();
    bytes[22] |= 1 << 3;
    seal(&mut bytes);
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    assert_eq!(read(&batch).unwrap().iter().map(|record| record.timestamp).collect::<Vec<_>>(), [9, 9, 9]);
}

#[test]
fn an_old_message_is_passed_over() {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&42_i64.to_be_bytes());
    bytes.extend_from_slice(&30_i32.to_be_bytes());
    bytes.extend_from_slice(&[1; 30]);
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    assert!(batch.header.is_legacy);
    assert_eq!((batch.header.last_offset, read(&batch)), (42, Ok(Vec::new())));
}

#[test]
fn a_broken_checksum_ends_the_reading() {
    let mut builder = BatchBuilder::new(Compression::None, 100);
    builder.append(5, &RecordBody::new(None, None, &[] as &[(&str, Option<&[u8]>)]));
    let mut bytes = builder.finish(Producer::NONE).unwrap().unwrap().to_vec();
    bytes.extend_from_within(..);
    bytes[40] ^= 1;
    let read: Vec<_> = Batches::new(&bytes).collect();
    assert_eq!(read.len(), 1);
    assert!(read[0].is_err());
}

#[test]
fn nothing_is_no_batch_and_sequences_wrap() {
    assert!(BatchBuilder::new(Compression::None, 100).finish(Producer::NONE).unwrap().is_none());
    let last = Producer { id: 1, epoch: 0, sequence: i32::MAX };
    assert_eq!((last.after(0).sequence, last.after(1).sequence, last.after(3).sequence), (i32::MAX, 0, 2));
}
