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
    header_count: i64,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Of a record's bytes after its length.
    pub(crate) fn parse(batch: &BatchHeader, mut body: &'a [u8]) -> Result<Self, Malformed> {
        body = body.get(1..).ok_or(Malformed("a record is empty"))?;
        let timestamp_delta = varint::take(&mut body)?;
        let offset_delta = varint::take(&mut body)?;
        let view = Self {
            offset: batch
                .base_offset
                .checked_add(offset_delta)
                .filter(|offset| (batch.base_offset..=batch.last_offset).contains(offset))
                .ok_or(Malformed("a record's offset is not of its batch"))?,
            timestamp: match batch.is_log_append_time {
                true => batch.max_timestamp,
                false => batch.base_timestamp.wrapping_add(timestamp_delta),
            },
            key: take(&mut body)?,
            value: take(&mut body)?,
            header_count: varint::take(&mut body)?,
            headers: body,
        };
        let mut rest = view.headers;
        for _ in 0..view.header_count {
            take_header(&mut rest)?;
        }
        if view.header_count < 0 || !rest.is_empty() {
            return Err(Malformed("a record's length is not that of its fields"));
        }
        Ok(view)
    }

    /// The headers in their order. Names may come twice, and values may be null.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        headers_in(self.headers)
    }

    /// Returns the headers as they are encoded, without their number.
    pub(crate) const fn encoded_headers(&self) -> &'a [u8] {
        self.headers
    }

    /// The value of the first header of that name, unless it is null.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(key, _)| *key == name.as_bytes()).and_then(|(_, value)| value)
    }
}

/// Decodes the headers of a record that was parsed before.
pub(crate) fn headers_in<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
    std::iter::from_fn(move || if rest.is_empty() { None } else { take_header(&mut rest).ok() })
}

#[inline]
fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
    Ok((take(bytes)?.ok_or(Malformed("a header has no name"))?, take(bytes)?))
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
