//! Zigzag varints of at most 64 bits.

use bytes::BufMut;

use super::Malformed;

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Returns the bytes that a value takes.
pub(super) const fn size(value: i64) -> usize {
    // Seven bits a byte, and one byte for zero.
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(super) fn put(buffer: &mut impl BufMut, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        buffer.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    buffer.put_u8(rest as u8);
}

/// Reads a value from bytes that a function returns one by one.
pub(super) fn read<E: From<Malformed>>(mut byte: impl FnMut() -> Result<u8, E>) -> Result<i64, E> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let next = byte()?;
        value |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Ok(unzigzag(value));
        }
    }
    Err(Malformed("a number of more than 64 bits").into())
}

/// Reads a value and removes it from the front of the slice.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Result<i64, Malformed> {
    // Most lengths are below 64 and take one byte; those of values and records are below 8,192 and take two.
    let (value, rest) = match **bytes {
        [first, ref rest @ ..] if first < 0x80 => (u64::from(first), rest),
        [first, second, ref rest @ ..] if second < 0x80 => (u64::from(first & 0x7f) | u64::from(second) << 7, rest),
        _ => return take_long(bytes),
    };
    *bytes = rest;
    Ok(unzigzag(value))
}

fn take_long(bytes: &mut &[u8]) -> Result<i64, Malformed> {
    read(|| {
        let (first, rest) = bytes.split_first().ok_or(Malformed("a number is cut off"))?;
        *bytes = rest;
        Ok(*first)
    })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value in prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from), -200_i64..200]) {
            let mut buffer = BytesMut::new();
            put(&mut buffer, value);
            prop_assert_eq!(buffer.len(), size(value));
            let mut bytes = buffer.as_ref();
            prop_assert_eq!(take(&mut bytes), Ok(value));
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn endless_and_short_numbers_are_refused() {
        assert!(take(&mut [0x80; 20].as_slice()).is_err());
        assert!(take(&mut [0x80, 0x80].as_slice()).is_err());
        assert!(take(&mut [].as_slice()).is_err());
    }
}
