use std::error::Error as _;

use outbox_core::{Error, RowLife, StoreFault, TableLayout};
use outbox_sqlx::sqlx;
use outbox_sqlx::{SqlxOutbox, StoreFailure};

use outbox_test_support::TestEnv;

use crate::{event, pool};

fn failure(error: &Error) -> &StoreFailure {
    error.source().unwrap().downcast_ref().unwrap()
}

/// Returns what enqueue says, singly and in a batch, of a table or a session that was spoilt.
async fn refusal(layout: TableLayout, spoil: &str) -> Error {
    let env = TestEnv::builder().layout(layout).outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(spoil)).execute(&mut *connection).await.unwrap();
    let mut tx = sqlx::Connection::begin(&mut *connection).await.unwrap();
    let batch = outbox.enqueue_all(&mut tx, &[event(1), event(2)]).await.unwrap_err();
    tx.rollback().await.unwrap();
    let mut tx = sqlx::Connection::begin(&mut *connection).await.unwrap();
    let error = outbox.enqueue(&mut tx, &event(1)).await.unwrap_err();
    assert_eq!(batch.store_fault(), error.store_fault());
    assert_eq!(batch.source().unwrap().to_string(), error.source().unwrap().to_string());

    let after = outbox.enqueue(&mut tx, &event(1)).await.unwrap_err();
    assert!(matches!(failure(&after), StoreFailure::TransactionAborted(_)), "{after:?}");
    tx.rollback().await.unwrap();
    error
}

macro_rules! is_refused {
    ($layout:expr, $spoil:expr, $failure:ident, $fault:ident) => {{
        let error = refusal($layout, $spoil).await;
        assert!(matches!(failure(&error), StoreFailure::$failure(_)), "{error:?}");
        assert_eq!(error.store_fault(), Some(StoreFault::$fault));
        assert!(failure(&error).source().is_some(), "what PostgreSQL said is below");
    }};
}

#[tokio::test]
async fn what_enqueue_meets_in_the_database_is_the_same_typed_error_as_with_the_other_driver() {
    let layout = TableLayout::recommended;
    let table = "ALTER TABLE outbox.outbox_message";
    is_refused!(layout(), "DROP TABLE outbox.outbox_message", TableMissing, Permanent);
    is_refused!(layout(), &format!("{table} DROP headers"), ColumnMissing, Permanent);

    let retyped = format!("{table} ALTER schema_version DROP DEFAULT, ALTER schema_version TYPE uuid USING id");
    is_refused!(layout(), &retyped, OtherType, Permanent);
    is_refused!(layout(), "SET default_transaction_read_only = on", ReadOnly, Permanent);
    is_refused!(layout().with_row_life(RowLife::Partitioned), "", NoPartition, Permanent);

    let raised = |code: &str| {
        format!(
            "CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RAISE EXCEPTION USING ERRCODE = ''{code}''; END'; \
             CREATE TRIGGER fails BEFORE INSERT ON outbox.outbox_message EXECUTE FUNCTION public.fails()"
        )
    };
    is_refused!(layout(), &raised("53100"), DiskFull, Transient);
    is_refused!(layout(), &raised("40001"), Other, Transient);
    is_refused!(layout(), &raised("42501"), MissingPrivilege, Permanent);
    is_refused!(layout(), &raised("23505"), IdTaken, Permanent);
}

#[tokio::test]
async fn a_lost_connection_is_transient() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    let mut tx = pool.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
    let end = "SELECT pg_terminate_backend($1, 5000)";
    env.client().await.execute(end, &[&pid]).await.unwrap();
    let error = outbox.enqueue(&mut tx, &event(1)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
