use proptest::prelude::*;

use super::*;

pub(in crate::broker::log) fn rules() -> Rules {
    Rules {
        max_bytes: 1_048_588,
        timestamps: Timestamps::Create(i64::MIN..=i64::MAX),
        keys: Keys::Optional,
        codecs: Codecs::default(),
    }
}

/// Returns a batch as a client sends it: records without key, headers and value, timestamps 1000, 1001 and so on.
pub(in crate::broker::log) fn encoded(count: i32, producer: (i64, i16, i32)) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0_i16.to_be_bytes());
    body.extend((count - 1).to_be_bytes());
    body.extend(1000_i64.to_be_bytes());
    body.extend((999 + i64::from(count)).to_be_bytes());
    body.extend(producer.0.to_be_bytes());
    body.extend(producer.1.to_be_bytes());
    body.extend(producer.2.to_be_bytes());
    body.extend(count.to_be_bytes());

    for delta in 0..u8::try_from(count).unwrap() {
        // Length 6, attributes, timestamp and offset deltas, no key, no value, no headers.
        assert!(delta < 64);
        body.extend([12, 0, delta * 2, delta * 2, 1, 1, 0]);
    }

    let mut batch = vec![0; 8];
    batch.extend(i32::try_from(body.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

#[test]
fn the_time_of_the_append_replaces_all_timestamps() {
    let appended = Rules { timestamps: Timestamps::Append(5000), ..rules() };
    let batch = Batch::parse(&encoded(2, (-1, -1, -1)), &appended).unwrap();
    assert_eq!((batch.append_time(), batch.max_timestamp), (Some(5000), 5000));
    let placed = batch.placed_at(10, 0);
    assert_eq!(first_at(&placed, 1, 0), Some((5000, 10)));
    assert_eq!(first_at(&placed, 5001, 0), None);
    let trusted = Batch::trusted(&placed).unwrap();
    assert_eq!(trusted.append_time(), Some(5000));
    assert!(Batch::trusted(&placed[..placed.len() - 1]).is_none());
}

fn refused(sent: &[u8], rules: &Rules) -> ResponseError {
    Batch::parse(sent, rules).unwrap_err().error
}

#[test]
fn a_batch_keeps_its_bytes_except_for_its_place() {
    let sent = encoded(3, (7, 0, 5));
    let batch = Batch::parse(&sent, &rules()).unwrap();
    assert_eq!((batch.last_offset_delta, batch.max_timestamp, batch.last_sequence()), (2, 1002, 7));
    let placed = batch.placed_at(42, 3);
    assert_eq!(placed[..8], 42_i64.to_be_bytes());
    assert_eq!(placed[12..16], 3_i32.to_be_bytes());
    assert_eq!(placed[16..], sent[16..]);
    assert_eq!(first_at(&placed, 1001, 0), Some((1001, 43)));
    assert_eq!(first_at(&placed, 0, 0), Some((1000, 42)));
    assert_eq!(first_at(&placed, 0, 44), Some((1002, 44)));
    assert_eq!(first_at(&placed, 1003, 0), None);
}

#[test]
fn a_changed_byte_is_seen() {
    let sent = encoded(3, (-1, -1, -1));
    for at in 17..sent.len() {
        let mut changed = sent.clone();
        changed[at] ^= 1;
        assert_eq!(refused(&changed, &rules()), ResponseError::CorruptMessage, "{at}");
    }
}

#[test]
fn what_is_no_batch_is_an_invalid_record() {
    let sent = encoded(1, (-1, -1, -1));
    for short in 0..sent.len() {
        assert_eq!(refused(&sent[..short], &rules()), ResponseError::InvalidRecord);
    }
    assert_eq!(refused(&[sent.clone(), sent].concat(), &rules()), ResponseError::InvalidRecord);
}

#[test]
fn records_at_fault_are_named() {
    let bounded = Rules { timestamps: Timestamps::Create(0..=1000), ..rules() };
    let refusal = Batch::parse(&encoded(3, (-1, -1, -1)), &bounded).unwrap_err();
    assert_eq!(refusal.error, ResponseError::InvalidTimestamp);
    assert_eq!(refusal.records.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
    let keyed = Rules { keys: Keys::Required, ..rules() };
    assert_eq!(refused(&encoded(1, (-1, -1, -1)), &keyed), ResponseError::InvalidRecord);
}

#[test]
fn a_larger_batch_than_allowed_is_refused() {
    let sent = encoded(1, (-1, -1, -1));
    let size = i32::try_from(sent.len()).unwrap();
    assert!(Batch::parse(&sent, &Rules { max_bytes: size, ..rules() }).is_ok());
    assert_eq!(refused(&sent, &Rules { max_bytes: size - 1, ..rules() }), ResponseError::MessageTooLarge);
}

#[test]
fn the_largest_timestamp_is_put_right() {
    let mut sent = encoded(2, (-1, -1, -1));
    sent[35..43].copy_from_slice(&5_i64.to_be_bytes());
    let crc = crc32c::crc32c(&sent[21..]);
    sent[17..21].copy_from_slice(&crc.to_be_bytes());
    let placed = Batch::parse(&sent, &rules()).unwrap().placed_at(0, 0);
    assert_eq!(placed[35..43], 1001_i64.to_be_bytes());
    assert_eq!(placed[17..21], crc32c::crc32c(&placed[21..]).to_be_bytes());
}

#[test]
fn records_are_walked() {
    // Key "k", value null, one header "h" of a null value; then a record without all of them.
    let payload = [22, 0, 3, 0, 2, b'k', 1, 2, 2, b'h', 1, 0];
    let first = [&[20], &payload[1..11]].concat();
    let second = [12, 0, 0x80, 0x02, 2, 1, 1, 0];
    let second = [&[14], &second[1..]].concat();
    let both = [&first[..], &second].concat();
    let found: Vec<_> = walk(&both).map(Result::unwrap).collect();
    assert_eq!(found[0], Found { timestamp_delta: -2, offset_delta: 0, key: Some(b"k"), bytes: &first });
    assert_eq!(found[1], Found { timestamp_delta: 128, offset_delta: 1, key: None, bytes: &second });
}

proptest! {
    #[test]
    fn any_bytes_end(payload: Vec<u8>) {
        prop_assert!(walk(&payload).count() <= payload.len());
    }
}
