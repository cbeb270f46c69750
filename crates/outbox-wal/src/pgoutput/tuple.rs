use std::str;

use crate::Lsn;

/// The columns of a row as the message carries them, checked as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple<'a> {
    /// The number of columns.
    pub columns: u16,
    body: &'a [u8],
}

/// One column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TupleData<'a> {
    /// NULL.
    Null,
    /// An unchanged TOAST value, which the message does not contain.
    Unchanged,
    /// The value's text form.
    Text(&'a [u8]),
    /// A value in binary form, which is sent only with the option `binary`.
    Binary(&'a [u8]),
}

impl<'a> Tuple<'a> {
    pub(super) fn take(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let columns = fields.u16()?;
        let body = fields.rest();
        for _ in 0..columns {
            column(fields)?;
        }
        let length = body.len().saturating_sub(fields.rest().len());
        Ok(Self { columns, body: body.get(..length).unwrap_or_default() })
    }

    /// Decodes the columns of a row: their number, then each column (PostgreSQL, "TupleData").
    ///
    /// # Errors
    /// The bytes are truncated, too long, or not defined by the protocol.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes);
        let tuple = Self::take(&mut fields)?;
        if fields.is_empty() { Ok(tuple) } else { Err(Malformed) }
    }

    /// Returns the columns' values in the table's order.
    pub fn data(&self) -> impl Iterator<Item = TupleData<'a>> + use<'a> {
        let mut fields = Fields::new(self.body);
        (0..self.columns).map_while(move |_| column(&mut fields).ok())
    }
}

fn column<'a>(fields: &mut Fields<'a>) -> Result<TupleData<'a>, Malformed> {
    Ok(match fields.u8()? {
        b'n' => TupleData::Null,
        b'u' => TupleData::Unchanged,
        b't' => TupleData::Text(sized(fields)?),
        b'b' => TupleData::Binary(sized(fields)?),
        _ => return Err(Malformed),
    })
}

fn sized<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], Malformed> {
    let length = fields.u32()?;
    fields.bytes(length)
}

/// The error of a message that is truncated, too long, or not defined by the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of pgoutput is malformed")]
pub struct Malformed;

/// A reader of the big-endian fields of a message.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn lsn(&mut self) -> Result<Lsn, Malformed> {
        self.array().map(u64::from_be_bytes).map(Lsn::new)
    }

    pub fn bytes(&mut self, length: u32) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Returns text up to a NUL.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let (text, rest) = self.0.split_at_checked(end).ok_or(Malformed)?;
        self.0 = rest.get(1..).unwrap_or_default();
        str::from_utf8(text).map_err(|_| Malformed)
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}
