use bytes::{BufMut, BytesMut};
use outbox_core::{ColumnType, ColumnValue};
use time::PrimitiveDateTime;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A column's value on its way to PostgreSQL.
#[derive(Debug)]
pub(crate) struct Param<'a> {
    pub(crate) value: &'a ColumnValue,
    pub(crate) ty: ColumnType,
}

/// The type that a column is sent as.
pub(crate) fn wire_type(ty: ColumnType) -> Type {
    match ty {
        ColumnType::Uuid => Type::UUID,
        ColumnType::Json => Type::JSON,
        ColumnType::Jsonb => Type::JSONB,
        ColumnType::Bytea => Type::BYTEA,
        ColumnType::Integer => Type::INT4,
        ColumnType::Boolean => Type::BOOL,
        ColumnType::TimestampMillis | ColumnType::TimestampMicros => Type::TIMESTAMP,
        ColumnType::Timestamptz => Type::TIMESTAMPTZ,
        _ => Type::TEXT,
    }
}

/// The array of [`wire_type`].
pub(crate) fn wire_array(ty: ColumnType) -> Type {
    match ty {
        ColumnType::Uuid => Type::UUID_ARRAY,
        ColumnType::Json => Type::JSON_ARRAY,
        ColumnType::Jsonb => Type::JSONB_ARRAY,
        ColumnType::Bytea => Type::BYTEA_ARRAY,
        ColumnType::Integer => Type::INT4_ARRAY,
        ColumnType::Boolean => Type::BOOL_ARRAY,
        ColumnType::TimestampMillis | ColumnType::TimestampMicros => Type::TIMESTAMP_ARRAY,
        ColumnType::Timestamptz => Type::TIMESTAMPTZ_ARRAY,
        _ => Type::TEXT_ARRAY,
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.value {
            ColumnValue::Null => Ok(IsNull::Yes),
            ColumnValue::Text(text) => {
                if self.ty == ColumnType::Jsonb {
                    // The version of jsonb's binary form.
                    out.put_u8(1);
                }
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            ColumnValue::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            ColumnValue::Uuid(uuid) => uuid.to_sql(ty, out),
            ColumnValue::Integer(number) => number.to_sql(ty, out),
            ColumnValue::Boolean(value) => value.to_sql(ty, out),
            ColumnValue::Instant(at) if self.ty == ColumnType::Timestamptz => at.to_sql(ty, out),
            ColumnValue::Instant(at) => {
                let utc = at.to_offset(time::UtcOffset::UTC);
                PrimitiveDateTime::new(utc.date(), utc.time()).to_sql(ty, out)
            }
            _ => Err("this kind of value has no form on the wire yet".into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // The types are ours on both sides: wire_type names what to_sql writes.
        true
    }

    to_sql_checked!();
}
