use std::future::Future;
use std::pin::Pin;

use outbox_net::SqlxParam;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Executor as _, PgConnection, Postgres, SqlSafeStr as _, Statement as _,
};
use tokio::sync::Mutex;
use tokio_postgres::types::{ToSql, Type};

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
        arguments.add(SqlxParam::new(*value, &ty)).map_err(sqlx::Error::Encode)?;
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
