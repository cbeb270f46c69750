use std::ops::Range;

use super::{BatchHeader, Malformed, varint};

/// A record in a fetched batch; it borrows the batch's bytes.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// The record's offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The number of bytes of the record after its key, and after its value.
    behind: [usize; 2],
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Parses a record's bytes after its length.
    pub(crate) fn parse(batch: &BatchHeader, mut body: &'a [u8]) -> Result<Self, Malformed> {
        body = body.get(1..).ok_or(Malformed("a record is empty"))?;
        let timestamp_delta = varint::take(&mut body)?;
        let offset_delta = varint::take(&mut body)?;
        let key = take(&mut body)?;
        let behind_key = body.len();
        let value = take(&mut body)?;
        let behind_value = body.len();
        let header_count = varint::take(&mut body)?;

        check_headers(header_count, body)?;
        Ok(Self {
            offset: batch
                .base_offset
                .checked_add(offset_delta)
                .filter(|offset| (batch.base_offset..=batch.last_offset).contains(offset))
                .ok_or(Malformed("a record's offset is not of its batch"))?,
            timestamp: match batch.is_log_append_time {
                true => batch.max_timestamp,
                false => batch.base_timestamp.wrapping_add(timestamp_delta),
            },
            key,
            value,
            behind: [behind_key, behind_value],
            headers: body,
        })
    }

    /// Returns the headers in their order. Names may come twice, and values may be null.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        headers_in(self.headers)
    }

    /// Returns where key, value and encoded headers are in the record's bytes, of which there are `length`.
    pub(crate) fn places(&self, length: usize) -> Places {
        let place = |field: Option<&[u8]>, behind: usize| {
            let end = length.saturating_sub(behind);
            field.map(|field| end.saturating_sub(field.len())..end)
        };
        let [behind_key, behind_value] = self.behind;
        let headers = length.saturating_sub(self.headers.len());
        Places { key: place(self.key, behind_key), value: place(self.value, behind_value), headers }
    }

    /// Returns the value of the first header of that name, unless it is null.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(key, _)| *key == name.as_bytes()).and_then(|(_, value)| value)
    }
}

/// The places of the fields of a record in its bytes. The headers end with it.
pub(crate) struct Places {
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Option<Range<usize>>,
    pub(crate) headers: usize,
}

/// Decodes the headers of a record that was parsed before.
pub(crate) fn headers_in<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
    std::iter::from_fn(move || if rest.is_empty() { None } else { take_header(&mut rest).ok() })
}

/// Checks the number of headers, and that no bytes follow them.
#[inline]
fn check_headers(count: i64, headers: &[u8]) -> Result<(), Malformed> {
    let mut at = 0_usize;
    for _ in 0..count {
        for is_name in [true, false] {
            match headers.get(at) {
                // A length from 0 to 63: one byte, without sign.
                Some(&length) if length & 0x81 == 0 => at += 1 + usize::from(length >> 1),
                _ => {
                    let mut rest = headers.get(at..).unwrap_or_default();
                    if take(&mut rest)?.is_none() && is_name {
                        return Err(NO_NAME);
                    }
                    at = headers.len() - rest.len();
                }
            }
        }
    }

    if count < 0 || at != headers.len() {
        return Err(Malformed("a record's length is not that of its fields"));
    }
    Ok(())
}

const NO_NAME: Malformed = Malformed("a header has no name");

#[inline]
fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
    if let Some((name, rest)) = take_short(bytes)
        && let Some((value, rest)) = take_short(rest)
    {
        *bytes = rest;
        return Ok((name, Some(value)));
    }
    Ok((take(bytes)?.ok_or(NO_NAME)?, take(bytes)?))
}

/// Splits off a field of less than 64 bytes: its length is one byte, twice the length.
#[inline]
fn take_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [length, rest @ ..] if length & 0x81 == 0 => rest.split_at_checked(usize::from(length >> 1)),
        _ => None,
    }
}

#[inline]
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let length = varint::take(bytes)?;
    if length == -1 {
        return Ok(None);
    }
    let (field, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or(Malformed("a field is longer than its record"))?;
    *bytes = rest;
    Ok(Some(field))
}
