use outbox_core::layout::{ColumnType, ColumnValue};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};
use sqlx::types::Type;

/// A column's value as a parameter, in PostgreSQL's binary form.
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

fn write(value: &ColumnValue, ty: ColumnType, out: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
    if value.is_null() {
        return Ok(IsNull::Yes);
    }
    value.write_binary(ty, out)?;
    Ok(IsNull::No)
}

/// The properties that sqlx needs of a parameter's Rust type. Ours have the type of their column, by `produces`.
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
        Some(PgTypeInfo::with_oid(Oid(self.ty.parameter_type().oid())))
    }
}

impl Encode<'_, Postgres> for Params<'_> {
    /// Returns the binary form of PostgreSQL's `array_send`: dimensions, whether there are NULLs, the elements' type,
    /// length and lower bound; then each with its length.
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let has_nulls = self.values.iter().any(|value| value.is_null());
        for number in [1, u32::from(has_nulls), self.ty.parameter_type().oid(), u32::try_from(self.values.len())?, 1] {
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
        Some(PgTypeInfo::with_oid(Oid(self.ty.parameter_type().array_oid())))
    }
}
