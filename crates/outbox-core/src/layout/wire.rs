//! The types and values of columns as PostgreSQL's protocol has them.

use std::str::FromStr;

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

    /// Returns the type of a column by the type's OID and modifier (`atttypmod`). Each enum has another OID: give that
    /// of `anyenum`. For `ltree` and `hstore`, give `u32::MAX` and the number before it.
    #[must_use]
    pub fn from_oid(oid: u32, modifier: i32) -> Self {
        // PostgreSQL's own limit of a length, and the precision of a time, if none is given.
        const LONGEST: u32 = 10_485_760;

        // The modifier of these types counts four bytes more.
        let length = || modifier.checked_sub(4).and_then(|n| u32::try_from(n).ok());
        let is_coarse = (0..=3).contains(&modifier);

        match oid {
            2950 => Self::Uuid,
            // text, char(n), "char", inet, cidr, macaddr, macaddr8, and the ranges.
            25 | 1042 | 18 | 869 | 650 | 829 | 774 | 3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Self::Text,
            142 => Self::Xml,
            3614 => Self::Tsvector,
            LTREE => Self::Ltree,
            1560 | 1562 if modifier == 1 => Self::Bit,
            1560 | 1562 => Self::Bits,
            HSTORE => Self::Hstore,
            1266 => Self::Timetz,
            1186 => Self::Interval,
            790 => Self::Money,
            26 => Self::Bigint,
            1043 => Self::Varchar(length().unwrap_or(LONGEST)),
            ANY_ENUM => Self::Enum,
            114 => Self::Json,
            3802 => Self::Jsonb,
            17 => Self::Bytea,
            21 => Self::Smallint,
            23 => Self::Integer,
            20 => Self::Bigint,
            700 => Self::Real,
            701 => Self::Double,
            // The lower half holds the scale, in eleven bits. A negative one leaves no fraction.
            1700 => length().map_or(Self::Numeric, |length| {
                Self::Decimal(u16::try_from(length & 0x7ff).ok().filter(|scale| *scale < 0x400).unwrap_or_default())
            }),
            16 => Self::Boolean,
            1082 => Self::Date,
            1083 if is_coarse => Self::TimeMillis,
            1083 => Self::TimeMicros,
            1114 if is_coarse => Self::TimestampMillis,
            1114 => Self::TimestampMicros,
            1184 => Self::Timestamptz,
            2951 => Self::Array(&Self::Uuid),
            1009 | 1014 | 1015 | 1041 | 651 | 1040 | 775 | 3905 | 3907 | 3909 | 3911 | 3913 | 3927 => {
                Self::Array(&Self::Text)
            }
            199 => Self::Array(&Self::Json),
            3807 => Self::Array(&Self::Jsonb),
            1005 => Self::Array(&Self::Smallint),
            1007 => Self::Array(&Self::Integer),
            1016 => Self::Array(&Self::Bigint),
            1021 => Self::Array(&Self::Real),
            1022 => Self::Array(&Self::Double),
            1231 if length().is_some() => Self::Array(&Self::Decimal(0)),
            1231 => Self::Array(&Self::Numeric),
            1001 => Self::Array(&Self::Bytea),
            1028 => Self::Array(&Self::Bigint),
            1115 if is_coarse => Self::Array(&Self::TimestampMillis),
            1115 => Self::Array(&Self::TimestampMicros),
            1185 => Self::Array(&Self::Timestamptz),
            1270 => Self::Array(&Self::Timetz),
            1000 => Self::Array(&Self::Boolean),
            1182 => Self::Array(&Self::Date),
            _ => Self::Other(oid),
        }
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
            Self::Enum => (ANY_ENUM, ANY_ARRAY),
            Self::Json => (114, 199),
            Self::Jsonb => (3802, 3807),
            Self::Xml => (142, 143),
            Self::Tsvector => (3614, 3643),
            Self::Bit => (1560, 1561),
            Self::Bits => (1562, 1563),
            Self::Ltree => (LTREE, ANY_ARRAY),
            Self::Hstore => (HSTORE, ANY_ARRAY),
            Self::Timetz => (1266, 1270),
            Self::Interval => (1186, 1187),
            Self::Money => (790, 791),
            Self::Bytea => (17, 1001),
            Self::Smallint => (21, 1005),
            Self::Integer => (23, 1007),
            Self::Bigint => (20, 1016),
            Self::Real => (700, 1021),
            Self::Double => (701, 1022),
            Self::Decimal(_) | Self::Numeric => (1700, 1231),
            Self::Boolean => (16, 1000),
            Self::Date => (1082, 1182),
            Self::TimeMillis | Self::TimeMicros => (1083, 1183),
            Self::TimestampMillis | Self::TimestampMicros => (1114, 1115),
            Self::Timestamptz => (1184, 1185),
            // An array of any dimension has the same type.
            Self::Array(element) => (element.array_oid(), element.array_oid()),
            Self::Other(oid) => (oid, ANY_ARRAY),
        };
        Oids { element, array }
    }
}

const ANY_ENUM: u32 = 3500;
/// Types of extensions, which have another OID in each database: these are none of PostgreSQL's.
const LTREE: u32 = u32::MAX;
const HSTORE: u32 = u32::MAX - 1;
const ANY_ARRAY: u32 = 2277;

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
            // Of these types, the binary form is not the text.
            Self::Text(text) if ty == ColumnType::Bigint => out.put_i64(number(text)?),
            Self::Text(text) if ty == ColumnType::Smallint => out.put_i16(number(text)?),
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

fn number<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::rule("number", text, "it is no whole number in the range of its column"))
}
