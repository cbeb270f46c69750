use outbox_core::EventId;
use outbox_core::bytes::BytesMut;
use outbox_core::time::{OffsetDateTime, PrimitiveDateTime};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Statement, Transaction};

use crate::rows;

/// The columns and values of enqueue, as one would write them who needs no outbox. The columns are those of
/// `TableLayout::recommended`, so that both write the same rows.
pub(super) const INSERT: &str = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload, \
     created_at, schema_version, content_type, traceparent, correlation_id, causation_id, headers, tracestate) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

pub(super) async fn insert(tx: &Transaction<'_>, statement: &Statement, n: u64, payload: &str) -> Result<u64, Error> {
    let now = OffsetDateTime::now_utc();
    let created_at = PrimitiveDateTime::new(now.date(), now.time());
    tx.execute(
        statement,
        &[
            &EventId::new().as_uuid(),
            &rows::AGGREGATE_TYPE,
            &rows::key(n),
            &"OrderPlaced",
            &Json(payload),
            &created_at,
            &1_i32,
            &"application/json",
            &"",
            &"",
            &"",
            &Json("{}"),
            &"",
        ],
    )
    .await
}

/// Text that is JSON already.
#[derive(Debug)]
struct Json<'a>(&'a str);

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }

    to_sql_checked!();
}
