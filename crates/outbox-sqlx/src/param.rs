use outbox_core::{ColumnType, ColumnValue};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::types::Type;

/// A column's value on its way to PostgreSQL, in its binary form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param<'a> {
    pub(crate) value: &'a ColumnValue,
    pub(crate) ty: ColumnType,
}

/// Values of one column, as an array.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    pub(crate) values: Vec<&'a ColumnValue>,
    pub(crate) ty: ColumnType,
}

/// The types that a column's value and an array of them are sent as (`pg_type.dat`).
fn oids(ty: ColumnType) -> (u32, u32) {
    match ty {
        ColumnType::Uuid => (2950, 2951),
        ColumnType::Json => (114, 199),
        ColumnType::Jsonb => (3802, 3807),
        ColumnType::Bytea => (17, 1001),
        ColumnType::Integer => (23, 1007),
        ColumnType::Boolean => (16, 1000),
        ColumnType::TimestampMillis | ColumnType::TimestampMicros => (1114, 1115),
        ColumnType::Timestamptz => (1184, 1185),
        _ => (25, 1009),
    }
}

/// PostgreSQL counts microseconds from 2000.
const EPOCH: i128 = 946_684_800_000_000;

fn write(value: &ColumnValue, ty: ColumnType, out: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
    match value {
        ColumnValue::Null => return Ok(IsNull::Yes),
        ColumnValue::Text(text) => {
            if ty == ColumnType::Jsonb {
                // The version of jsonb's binary form.
                out.push(1);
            }
            out.extend_from_slice(text.as_bytes());
        }
        ColumnValue::Bytes(bytes) => out.extend_from_slice(bytes),
        ColumnValue::Uuid(uuid) => out.extend_from_slice(uuid.as_bytes()),
        ColumnValue::Integer(number) => out.extend_from_slice(&number.to_be_bytes()),
        ColumnValue::Boolean(value) => out.push(u8::from(*value)),
        ColumnValue::Instant(at) => {
            let micros = i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000) - EPOCH)?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        _ => return Err("this kind of value has no form on the wire yet".into()),
    }
    Ok(IsNull::No)
}

/// What sqlx asks of a parameter's Rust type. Ours have the type of their column, by `produces`.
macro_rules! typed_by_column {
    ($param:ident) => {
        impl Type<Postgres> for $param<'_> {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_oid(Oid(0))
            }
        }
    };
}

typed_by_column!(Param);
typed_by_column!(Params);

impl Encode<'_, Postgres> for Param<'_> {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        write(self.value, self.ty, out)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(oids(self.ty).0)))
    }
}

impl Encode<'_, Postgres> for Params<'_> {
    /// The form that `array_send` writes: dimensions, whether there are NULLs, the elements' type, length and lower bound;
    /// then each with its length.
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let has_nulls = self.values.iter().any(|value| **value == ColumnValue::Null);
        for number in [1, u32::from(has_nulls), oids(self.ty).0, u32::try_from(self.values.len())?, 1] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let mut element = Vec::new();
        for value in &self.values {
            element.clear();
            let length = match write(value, self.ty, &mut element)? {
                IsNull::Yes => -1,
                IsNull::No => i32::try_from(element.len())?,
            };
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&element);
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(oids(self.ty).1)))
    }
}
