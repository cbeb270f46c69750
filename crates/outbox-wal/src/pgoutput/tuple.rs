use super::fields::{Fields, Malformed};

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
    /// A value out of line that the change left as it was.
    Unchanged,
    /// The value's text form.
    Text(&'a [u8]),
    /// Only sent where the option `binary` is set.
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
    /// The bytes are cut short, too long, or hold what the protocol does not know.
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
