//! Walks an answer by its fields, so that the codec reads only lengths that the bytes of the answer allow.
//!
//! The codec reserves memory for as many elements as an array says it has, before it reads them: four bytes of a
//! malformed answer may request hundreds of gigabytes, which ends the process. After the walk, each array is known to
//! have its stated number of elements.

use crate::record_batch::Malformed;

const CUT_SHORT: Malformed = Malformed("the answer is shorter than its lengths say");
const LONG_NUMBER: Malformed = Malformed("a length has more than 32 bits");

/// A field, and the versions of the answer that have it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) since: i16,
    pub(crate) until: i16,
}

impl Field {
    fn is_in(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }
}

/// The way in which a field is encoded.
#[derive(Debug)]
pub(crate) enum Kind {
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
    /// One structure.
    Struct(&'static [Field]),
    /// A tagged field of this number, which the codec decodes without regard to its stated length. It comes after all
    /// fields that are not tagged.
    Tagged(u32, &'static Self),
}

/// The rest of an answer, and how it is encoded.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    /// Whether lengths are compact, and structures end with tagged fields (KIP-482).
    is_flexible: bool,
}

impl<'a> Walk<'a> {
    /// Begins at the first byte after an answer's header.
    pub(crate) const fn classic(bytes: &'a [u8], version: i16) -> Self {
        Self { rest: bytes, version, is_flexible: false }
    }

    /// Begins at the first byte after the header of an answer in a flexible version.
    pub(crate) const fn flexible(bytes: &'a [u8], version: i16) -> Self {
        Self { rest: bytes, version, is_flexible: true }
    }

    /// Walks a structure; fails if its bytes do not suffice.
    pub(crate) fn structure(&mut self, fields: &'static [Field]) -> Result<(), Malformed> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_in(version)) {
            if !matches!(field.kind, Kind::Tagged(..)) {
                self.field(&field.kind)?;
            }
        }
        if self.is_flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn field(&mut self, kind: &'static Kind) -> Result<(), Malformed> {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Text => self.text(),
            Kind::Bytes => {
                let length = self.length(4)?;
                self.skip(length)
            }
            Kind::Scalars(size) => {
                let count = self.length(4)?;
                self.skip(count.checked_mul(*size).ok_or(CUT_SHORT)?)
            }
            Kind::Texts => (0..self.length(4)?).try_for_each(|_| self.text()),
            Kind::Structs(fields) => (0..self.length(4)?).try_for_each(|_| self.structure(fields)),
            Kind::Struct(fields) => self.structure(fields),
            Kind::Tagged(_, kind) => self.field(kind),
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            let (tag, size) = (self.varint()?, self.varint()?);
            let is_known = |field: &&Field| matches!(field.kind, Kind::Tagged(number, _) if number == tag);
            let version = self.version;
            let known = fields.iter().filter(is_known).find(|field| field.is_in(version));
            match known {
                Some(field) => self.field(&field.kind)?,
                None => self.skip(size as usize)?,
            }
        }
        Ok(())
    }

    fn text(&mut self) -> Result<(), Malformed> {
        let length = self.length(2)?;
        self.skip(length)
    }

    /// Reads a length, 0 for null. `width` is its number of bytes in the classic encoding.
    fn length(&mut self, width: usize) -> Result<usize, Malformed> {
        if self.is_flexible {
            return Ok((self.varint()? as usize).saturating_sub(1));
        }
        let bytes = self.take(width)?;
        let length = bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let is_null = bytes.iter().all(|byte| *byte == 0xff);
        Ok(if is_null { 0 } else { length })
    }

    /// Reads an unsigned varint: seven bits a byte, the least significant first. The eighth bit is set if more bytes
    /// follow.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = u32::from(*self.take(1)?.first().ok_or(CUT_SHORT)?);
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(LONG_NUMBER)
    }

    fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        self.take(size).map(drop)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Returns the number of bytes that were not walked yet.
    #[cfg(test)]
    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }
}
