//! The records of a batch, one after the other. Lengths and deltas are zigzag varints:
//! length, attributes (one byte), timestamp delta, offset delta, key length (-1 for null), key, value length, value,
//! number of headers, and for each the length of its name, name, length of its value (-1 for null), value.

/// A record is not what its length says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MalformedRecord;

/// The parts of a record that the broker looks at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i64,
    pub(super) key: Option<&'a [u8]>,
    /// The whole record with its length.
    pub(super) bytes: &'a [u8],
}

/// Reads the records until the end, or until the first malformed one.
pub(super) fn walk(payload: &[u8]) -> impl Iterator<Item = Result<Found<'_>, MalformedRecord>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = next(&mut rest).ok_or(MalformedRecord);
        if found.is_err() {
            rest = &[];
        }
        Some(found)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Found<'a>> {
    let from = *rest;
    let length = usize::try_from(varint(rest)?).ok()?;
    let mut record = take(rest, length)?;
    take(&mut record, 1)?;
    let timestamp_delta = varint(&mut record)?;
    let offset_delta = varint(&mut record)?;
    let key = nullable(&mut record)?;
    nullable(&mut record)?;
    for _ in 0..usize::try_from(varint(&mut record)?).ok()? {
        let name = usize::try_from(varint(&mut record)?).ok()?;
        take(&mut record, name)?;
        nullable(&mut record)?;
    }
    let bytes = from.get(..from.len() - rest.len())?;
    record.is_empty().then_some(Found { timestamp_delta, offset_delta, key, bytes })
}

/// Returns the bytes after their length; `None` inside for null.
fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length < 0 {
        return Some(None);
    }
    take(rest, usize::try_from(length).ok()?).map(Some)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
}
