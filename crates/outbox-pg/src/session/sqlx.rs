use std::future::Future;
use std::pin::Pin;

use bytes::BytesMut;
use sqlx::encode::{Encode, IsNull as SqlxIsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo, PgValueFormat};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Executor as _, PgConnection, Postgres, Row as _, SqlSafeStr as _,
    Statement as _, ValueRef as _,
};
use tokio::sync::Mutex;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, WrongType};

/// A connection of sqlx, or a transaction on it. sqlx borrows it for each statement.
pub(crate) struct SqlxSession<'a>(Mutex<&'a mut PgConnection>);

type BoxFuture<'s, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 's>>;

impl<'a> SqlxSession<'a> {
    pub(super) fn new(connection: &'a mut PgConnection) -> Self {
        Self(Mutex::new(connection))
    }

    pub(super) async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = self.0.lock().await;
        let arguments = arguments(&mut connection, sql, params).await?;
        fetch_all(&mut connection, sql, arguments).await
    }

    pub(super) async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, sqlx::Error> {
        let mut connection = self.0.lock().await;
        let arguments = arguments(&mut connection, sql, params).await?;
        Ok(execute(&mut connection, sql, arguments).await?.rows_affected())
    }

    pub(super) async fn batch_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.0.lock().await;
        run_script(&mut connection, sql).await.map(drop)
    }
}

/// Encodes the parameters as the types that PostgreSQL infers for them, as tokio-postgres does.
async fn arguments(
    connection: &mut PgConnection,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    if params.is_empty() {
        return Ok(arguments);
    }

    let statement = prepare(connection, sql).await?;
    let Some(Either::Left(types)) = statement.parameters() else { return Ok(arguments) };
    for (value, ty) in params.iter().zip(types) {
        let ty = ty.oid().and_then(|oid| Type::from_oid(oid.0)).unwrap_or(Type::UNKNOWN);
        arguments.add(Param { value: *value, ty }).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

// The statements are this crate's own texts. Values are bound or quoted, and names are quoted identifiers.
//
// Futures of sqlx's own `async fn`s over an `Executor` cannot be shown to be `Send` here (rust-lang issue 110338).

fn prepare<'s>(connection: &'s mut PgConnection, sql: &'s str) -> BoxFuture<'s, PgStatement> {
    connection.prepare(AssertSqlSafe(sql).into_sql_str())
}

fn fetch_all<'s>(connection: &'s mut PgConnection, sql: &'s str, arguments: PgArguments) -> BoxFuture<'s, Vec<PgRow>> {
    connection.fetch_all(sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments))
}

fn execute<'s>(connection: &'s mut PgConnection, sql: &'s str, arguments: PgArguments) -> BoxFuture<'s, PgQueryResult> {
    connection.execute(sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments))
}

fn run_script<'s>(connection: &'s mut PgConnection, sql: &'s str) -> BoxFuture<'s, PgQueryResult> {
    connection.execute(AssertSqlSafe(sql))
}

/// A parameter in PostgreSQL's binary form.
struct Param<'a> {
    value: &'a (dyn ToSql + Sync),
    ty: Type,
}

impl sqlx::Type<Postgres> for Param<'_> {
    /// Returns no type: each one has the type that PostgreSQL inferred, by `produces`.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Param<'_> {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<SqlxIsNull, BoxDynError> {
        let mut bytes = BytesMut::new();
        match self.value.to_sql_checked(&self.ty, &mut bytes)? {
            IsNull::Yes => Ok(SqlxIsNull::Yes),
            IsNull::No => {
                out.extend_from_slice(&bytes);
                Ok(SqlxIsNull::No)
            }
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.ty.oid())))
    }
}

/// Returns a value of a row in PostgreSQL's binary form.
pub(super) fn value<'a, T: FromSql<'a>>(row: &'a PgRow, column: usize) -> Result<T, sqlx::Error> {
    let failed = |source: BoxDynError| sqlx::Error::ColumnDecode { index: column.to_string(), source };
    let raw = row.try_get_raw(column)?;
    let ty = raw.type_info().oid().and_then(|oid| Type::from_oid(oid.0)).unwrap_or(Type::UNKNOWN);
    if !T::accepts(&ty) {
        return Err(failed(Box::new(WrongType::new::<T>(ty))));
    }
    if raw.format() != PgValueFormat::Binary {
        return Err(failed("the value is not in binary form".into()));
    }
    let bytes = if raw.is_null() { None } else { Some(raw.as_bytes().map_err(failed)?) };
    T::from_sql_nullable(&ty, bytes).map_err(failed)
}
