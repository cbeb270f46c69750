use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_net::SqlxParam;
use outbox_pg::StatementCaching as Sending;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Database, Executor as _, PgConnection, Postgres};
use sqlx_core::transaction::TransactionManager as _;

use super::command::{BEGIN_READ_COMMITTED, Command, Params};
use super::{PgError, Row};
use crate::store::statements::Sql;

/// A connection that goes back to its pool only if nothing is open or unanswered: the pool would wait without a limit
/// for a server that does not answer.
pub struct Connection {
    connection: Origin,
    condition: Condition,
}

enum Origin {
    Pooled(PoolConnection<Postgres>),
    Own(PgConnection),
}

/// The reasons to close a connection instead of giving it back to its pool.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// Something is open or unanswered.
    is_unsure: bool,
    /// A handler may have sent statements outside of its transaction.
    is_unclean: bool,
}

/// A transaction that handlers get.
pub struct Transaction<'a> {
    tx: sqlx::Transaction<'a, Postgres>,
    condition: ConditionOf<'a>,
}

enum ConditionOf<'a> {
    Store(&'a mut Condition),
    /// A connection that is not one of the store.
    Caller(Condition),
}

impl ConditionOf<'_> {
    fn get(&mut self) -> &mut Condition {
        match self {
            Self::Store(condition) => condition,
            Self::Caller(condition) => condition,
        }
    }
}

/// A connection or transaction that statements are sent to.
pub struct SqlxExecutor<'a> {
    connection: &'a mut PgConnection,
    condition: &'a mut Condition,
    is_in_transaction: bool,
}

impl Origin {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Own(connection) => connection,
        }
    }
}

impl Connection {
    pub fn pooled(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Origin::Pooled(connection), condition: Condition::default() }
    }

    pub fn own(connection: PgConnection) -> Self {
        Self { connection: Origin::Own(connection), condition: Condition::default() }
    }

    /// Closes the connection instead of giving it back.
    pub fn discard(mut self) {
        self.condition.is_unsure = true;
    }

    pub fn is_unsure(&self) -> bool {
        self.condition.is_unsure
    }

    pub fn is_unclean(&self) -> bool {
        let is_in_transaction = match &self.connection {
            Origin::Pooled(connection) => connection.is_in_transaction(),
            Origin::Own(connection) => connection.is_in_transaction(),
        };
        is_in_transaction || self.condition.is_unclean
    }

    /// Begins a transaction with this statement.
    pub async fn transaction(&mut self, begin: &'static str) -> Result<Transaction<'_>, PgError> {
        let Self { connection, condition } = self;
        condition.is_unsure = true;
        let tx = connection.connection().begin_with(begin).await?;
        Ok(Transaction { tx, condition: ConditionOf::Store(condition) })
    }

    pub fn executor(&mut self) -> SqlxExecutor<'_> {
        let Self { connection, condition } = self;
        SqlxExecutor { connection: connection.connection(), condition, is_in_transaction: false }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Condition { is_unsure, is_unclean } = self.condition;
        if let (Origin::Pooled(connection), true) = (&mut self.connection, is_unsure || is_unclean) {
            connection.close_on_drop();
        }
    }
}

impl<'a> Transaction<'a> {
    pub fn new(tx: sqlx::Transaction<'a, Postgres>) -> Self {
        Self { tx, condition: ConditionOf::Caller(Condition { is_unsure: true, is_unclean: false }) }
    }

    /// Returns the transaction as handlers get it.
    pub fn of_handlers(&mut self) -> &mut sqlx::Transaction<'a, Postgres> {
        &mut self.tx
    }

    /// Returns whether sqlx has rolled the transaction back, which it does if it cannot begin a savepoint.
    pub fn was_rolled_back(&self) -> bool {
        depth(&self.tx) == 0
    }

    pub fn executor(&mut self) -> SqlxExecutor<'_> {
        SqlxExecutor { connection: &mut self.tx, condition: self.condition.get(), is_in_transaction: true }
    }

    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        // A COMMIT would only release the innermost savepoint.
        if depth(&self.tx) != 1 {
            return Err(sqlx::Error::InvalidArgument("the handler left a savepoint open".to_owned()));
        }
        self.tx.commit().await?;
        self.condition.get().is_unsure = false;
        Ok(())
    }

    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        if self.was_rolled_back() {
            // The statements after that were not in a transaction.
            self.condition.get().is_unclean = true;
            return self.tx.ping().await;
        }
        let is_innermost = depth(&self.tx) > 1;
        self.tx.rollback().await?;
        self.condition.get().is_unsure = is_innermost;
        Ok(())
    }
}

/// Returns the number of transactions that sqlx has begun on a connection, each a savepoint of the one before.
pub fn depth(connection: &PgConnection) -> usize {
    <Postgres as Database>::TransactionManager::get_transaction_depth(connection)
}

impl SqlxExecutor<'_> {
    /// Runs one command, and waits for its answer as long as `patience`.
    pub async fn in_time(
        &mut self,
        patience: Duration,
        command: Command<'_>,
        sending: Sending,
    ) -> Result<Vec<Row>, PgError> {
        self.condition.is_unsure = true;
        let answered = tokio::time::timeout(patience, Box::pin(self.run(command, sending))).await;
        let answer = answered.map_err(|_| PgError::no_answer(patience))?;
        self.condition.is_unsure =
            is_without_answer(&answer) || self.is_in_transaction || self.connection.is_in_transaction();
        Ok(answer?)
    }

    /// Sends a statement that only reads. If it is parsed each time, it takes two round trips, and a pooler sends both
    /// to one server only within a transaction.
    pub async fn read_in_time(
        &mut self,
        patience: Duration,
        sql: &Sql,
        params: &Params<'_>,
        sending: Sending,
    ) -> Result<Vec<Row>, PgError> {
        if sending != Sending::Cached || self.is_in_transaction {
            return self.in_time(patience, Command::Statement(sql, params), sending).await;
        }
        self.condition.is_unsure = true;
        let answered = tokio::time::timeout(patience, query(self.connection, sql, params, sending)).await;
        let answer = answered.map_err(|_| PgError::no_answer(patience))?;
        self.condition.is_unsure = is_without_answer(&answer);
        Ok(answer?)
    }

    async fn run(&mut self, command: Command<'_>, sending: Sending) -> Result<Vec<Row>, sqlx::Error> {
        settle(self.connection).await?;
        match command {
            Command::Script(text) => execute(self.connection, text).await.map(|_| Vec::new()),
            Command::Statement(sql, params) if self.is_in_transaction => {
                query(self.connection, sql, params, sending).await
            }
            Command::Statement(sql, params) => {
                // If the future is dropped, the transaction is rolled back before the connection is used again.
                let mut tx = self.connection.begin_with(BEGIN_READ_COMMITTED).await?;
                match query(&mut tx, sql, params, sending).await {
                    Ok(rows) => tx.commit().await.map(|()| rows),
                    Err(e) => {
                        _ = tx.rollback().await;
                        Err(e)
                    }
                }
            }
        }
    }
}

/// Reads the answers to statements that a handler no longer waits for. sqlx would return their errors as those of the
/// next statement. If there are none, nothing is sent.
async fn settle(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    loop {
        match connection.flush().await {
            Err(sqlx::Error::Database(_)) => {}
            settled => return settled,
        }
    }
}

/// Returns whether a statement failed without an answer of PostgreSQL.
fn is_without_answer<T>(answer: &Result<T, sqlx::Error>) -> bool {
    answer.as_ref().is_err_and(|e| e.as_database_error().is_none())
}

async fn query(
    connection: &mut PgConnection,
    sql: &Sql,
    params: &Params<'_>,
    sending: Sending,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for (value, ty) in params.iter().zip(&sql.types) {
        arguments.add(SqlxParam::new(*value, ty)).map_err(sqlx::Error::Encode)?;
    }
    let rows = fetch_all(connection, &sql.text, arguments, sending == Sending::Cached).await?;
    Ok(rows.into_iter().map(Row::Sqlx).collect())
}

// The statements are the consumer's own texts. Values are bound, and names of schemas are quoted identifiers.
//
// Futures of sqlx's own `async fn`s over an `Executor` cannot be shown to be `Send` here (rust-lang issue 110338).

fn execute<'s>(connection: &'s mut PgConnection, text: &'s str) -> BoxFuture<'s, Result<PgQueryResult, sqlx::Error>> {
    connection.execute(AssertSqlSafe(text))
}

fn fetch_all<'s>(
    connection: &'s mut PgConnection,
    text: &'s str,
    arguments: PgArguments,
    is_cached: bool,
) -> BoxFuture<'s, Result<Vec<PgRow>, sqlx::Error>> {
    connection.fetch_all(sqlx::query_with::<Postgres, _>(AssertSqlSafe(text), arguments).persistent(is_cached))
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use deadpool_postgres::tokio_postgres::types::private::BytesMut;
    use deadpool_postgres::tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
    use outbox_core::Identifier;
    use outbox_test_support::TestEnv;

    use super::*;
    use crate::store::migrations;
    use crate::store::statements::Statements;

    /// NULL of any type.
    #[derive(Debug)]
    struct Null;

    impl ToSql for Null {
        fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
            Ok(IsNull::Yes)
        }

        fn accepts(_: &Type) -> bool {
            true
        }

        to_sql_checked!();
    }

    /// sqlx asks the server about a type that it does not know, between the two messages that prepare and execute a
    /// statement without a name, and the server forgets the statement then.
    #[tokio::test]
    async fn no_statement_has_a_type_that_sqlx_does_not_know() {
        let env = TestEnv::builder().database().build().await;
        let schema = Identifier::new("outbox").unwrap();
        migrations(&schema).apply(&mut env.client().await).await.unwrap();

        for (name, sql) in Statements::new(&schema).all() {
            let mut connection = PgConnection::connect(env.url()).await.unwrap();
            let nulls: Vec<&(dyn ToSql + Sync)> = vec![&Null; sql.types.len()];
            if let Err(error) = query(&mut connection, sql, &nulls, Sending::Unnamed).await {
                // NULL may not be what the statement can do without.
                let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
                assert_ne!(code, "26000", "{name}: {error}");
            }
            connection.close().await.unwrap();
        }
    }
}
