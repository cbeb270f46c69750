//! Walks a request by its schema, so that the codec reads only lengths that the bytes of the request allow.
//!
//! The codec reserves memory for as many elements as an array says it has, before it reads them: four bytes may request
//! hundreds of gigabytes, which ends the process. The walk ensures that an array has no more elements than the request
//! has bytes for, and that a request has at most [`MAX_ELEMENTS`] in all.

use super::Malformed;

/// The elements of all arrays of one request. Decoded, an element takes about 100 bytes.
const MAX_ELEMENTS: usize = 200_000;

/// A field, and the versions of the request that have it.
#[derive(Debug)]
pub(super) struct Field {
    kind: Kind,
    since: i16,
    until: i16,
}

impl Field {
    /// Creates a field of the versions from `since` to `until`.
    pub(super) const fn new(kind: Kind, since: i16, until: i16) -> Self {
        Self { kind, since, until }
    }
}

/// The way in which a field is encoded.
#[derive(Debug)]
pub(super) enum Kind {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A string: i16 length, -1 for null; in flexible versions an unsigned varint of length + 1, 0 for null.
    Text,
    /// Bytes: i32 length, -1 for null; in flexible versions as a string.
    Bytes,
    /// An array (i32 count, -1 for null; in flexible versions as a string) of elements of that many bytes.
    Scalars(usize),
    /// An array of strings.
    Texts,
    /// An array of structures, which end with tagged fields in flexible versions.
    Structs(&'static [Field]),
}

/// The way in which lengths are encoded, and whether structures end with tagged fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Classic,
    /// The compact encodings of KIP-482.
    Flexible,
}

/// The tagged fields that a schema lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Any,
    /// Tags from this one on. Those below it are fields of requests between brokers, which are not served; the codec
    /// decodes them without regard to their stated length.
    From(u32),
}

pub(super) struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    encoding: Encoding,
    tags: Tags,
    elements: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], version: i16, encoding: Encoding, tags: Tags) -> Self {
        Self { rest: bytes, version, encoding, tags, elements: 0 }
    }

    /// Walks a structure; `Ok` if its bytes suffice.
    pub(super) fn structure(&mut self, fields: &'static [Field]) -> Result<(), Malformed> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(&field.kind)?;
            }
        }
        match self.encoding {
            Encoding::Classic => Ok(()),
            Encoding::Flexible => self.tagged_fields(),
        }
    }

    /// Returns the number of bytes that were not walked yet.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn field(&mut self, kind: &Kind) -> Result<(), Malformed> {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Text => self.text(),
            Kind::Bytes => {
                let length = self.length(4)?;
                self.skip(length)
            }
            Kind::Scalars(size) => {
                let count = self.count()?;
                self.skip(count.checked_mul(*size).ok_or(Malformed::Truncated)?)
            }
            Kind::Texts => (0..self.count()?).try_for_each(|_| self.text()),
            Kind::Structs(fields) => (0..self.count()?).try_for_each(|_| self.structure(fields)),
        }
    }

    fn text(&mut self) -> Result<(), Malformed> {
        let length = self.length(2)?;
        self.skip(length)
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.length(4)?;
        self.elements = self.elements.saturating_add(count);
        if self.elements > MAX_ELEMENTS {
            return Err(Malformed::TooManyElements);
        }
        if count > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        Ok(count)
    }

    /// Returns a length, 0 for null; of that many bytes in the classic encoding.
    fn length(&mut self, width: usize) -> Result<usize, Malformed> {
        match self.encoding {
            Encoding::Flexible => Ok((self.varint()? as usize).saturating_sub(1)),
            Encoding::Classic => {
                let mut length = [0; 4];
                let bytes = self.take(width)?;
                length.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
                let length = u32::from_be_bytes(length);
                let null = if width == 2 { u32::from(u16::MAX) } else { u32::MAX };
                Ok(if length == null { 0 } else { length as usize })
            }
        }
    }

    fn tagged_fields(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            if matches!(self.tags, Tags::From(first) if tag < first) {
                return Err(Malformed::Codec);
            }
            self.skip(size)?;
        }
        Ok(())
    }

    /// Returns an unsigned varint: seven bits a byte, least significant first, the eighth says that more follow.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = u32::from(*self.take(1)?.first().ok_or(Malformed::Truncated)?);
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Codec)
    }

    fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        self.take(size).map(|_| ())
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[Field] = &[Field {
        kind: Kind::Structs(&[Field { kind: Kind::Text, since: 0, until: i16::MAX }]),
        since: 0,
        until: i16::MAX,
    }];

    fn walk(bytes: &[u8], encoding: Encoding) -> Result<usize, Malformed> {
        let mut walk = Walk::new(bytes, 0, encoding, Tags::Any);
        walk.structure(LIST).map(|()| walk.remaining())
    }

    #[test]
    fn a_request_is_walked_to_its_end() {
        assert_eq!(walk(b"\0\0\0\x02\0\x01a\xff\xff!", Encoding::Classic).unwrap(), 1);
        // Two elements: "a" without tags, null with tag 9 of two bytes; then no tags of the whole.
        assert_eq!(walk(b"\x03\x02a\0\0\x01\x09\x02xy\0", Encoding::Flexible).unwrap(), 0);
    }

    #[test]
    fn counts_beyond_the_bytes_are_refused() {
        assert!(matches!(walk(b"\x7f\xff\xff\xff", Encoding::Classic), Err(Malformed::TooManyElements)));
        assert!(matches!(walk(b"\x80\0\0\0", Encoding::Classic), Err(Malformed::TooManyElements)));
        assert!(matches!(walk(b"\0\0\0\x09\0\0", Encoding::Classic), Err(Malformed::Truncated)));
        assert!(matches!(walk(b"\xff\xff\xff\xff\x0f", Encoding::Flexible), Err(Malformed::TooManyElements)));
        assert!(walk(b"\xff\xff\xff\xff\xff", Encoding::Flexible).is_err());
    }
}
