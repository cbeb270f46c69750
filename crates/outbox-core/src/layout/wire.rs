//! The types and values of columns as PostgreSQL's protocol has them.

use bytes::BufMut;

use super::{ColumnType, ColumnValue};
use crate::Error;

/// The OIDs of a type and of its array, constants of PostgreSQL (`pg_type.dat`).
struct Oids {
    element: u32,
    array: u32,
}

impl ColumnType {
    /// Returns the OID of the type, a constant of PostgreSQL (`pg_type.dat`).
    #[must_use]
    pub fn oid(self) -> u32 {
        self.oids().element
    }

    /// Returns the OID of the type's array.
    #[must_use]
    pub fn array_oid(self) -> u32 {
        self.oids().array
    }

    /// Returns the type that a parameter for such a column is sent as: `text` for a `varchar`.
    #[must_use]
    pub fn parameter_type(self) -> Self {
        match self {
            Self::Varchar(_) => Self::Text,
            ty => ty,
        }
    }

    fn oids(self) -> Oids {
        let (element, array) = match self {
            Self::Uuid => (2950, 2951),
            Self::Text => (25, 1009),
            Self::Varchar(_) => (1043, 1015),
            Self::Json => (114, 199),
            Self::Jsonb => (3802, 3807),
            Self::Bytea => (17, 1001),
            Self::Integer => (23, 1007),
            Self::Boolean => (16, 1000),
            Self::TimestampMillis | Self::TimestampMicros => (1114, 1115),
            Self::Timestamptz => (1184, 1185),
        };
        Oids { element, array }
    }
}

/// PostgreSQL counts microseconds from 2000-01-01.
const EPOCH_MICROS: i128 = 946_684_800_000_000;

/// The version of jsonb's binary form.
const JSONB_VERSION: u8 = 1;

impl ColumnValue {
    /// Returns whether the value is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Writes the value in the binary form of a parameter of type `ty`, without its length. NULL writes nothing.
    ///
    /// # Errors
    /// An instant is outside the range of PostgreSQL's `timestamp`.
    pub fn write_binary(&self, ty: ColumnType, out: &mut impl BufMut) -> Result<(), Error> {
        match self {
            Self::Null => {}
            Self::Text(text) => {
                if ty == ColumnType::Jsonb {
                    out.put_u8(JSONB_VERSION);
                }
                out.put_slice(text.as_bytes());
            }
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
            Self::Integer(number) => out.put_i32(*number),
            Self::Boolean(value) => out.put_u8(u8::from(*value)),
            Self::Instant(at) => {
                let micros = at.unix_timestamp_nanos().div_euclid(1_000) - EPOCH_MICROS;
                let micros = i64::try_from(micros).map_err(|_| {
                    Error::rule(
                        "instant",
                        "out of range",
                        "a timestamp of PostgreSQL lies between 4713 BC and 294276 AD",
                    )
                })?;
                out.put_i64(micros);
            }
        }
        Ok(())
    }
}
