use std::error::Error as _;

use outbox_core::{Error, OutboxEvent, RowLife, StoreFault, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{PgOutbox, Problem, Readiness, StoreFailure, create_slot};
use outbox_testkit::Postgres;

use crate::database::{Database, rows};
use crate::own_server;

pub(crate) fn event() -> OutboxEvent {
    OutboxEvent::builder("order", "1", "Line").build().unwrap()
}

/// What enqueue says of a table or a session that was spoilt, on the development servers' version and on the newest.
async fn refusals(newest: &Postgres, layout: TableLayout, spoil: &str) -> [Error; 2] {
    let (here, pipeline) = Database::with_outbox(layout.clone()).await;
    let (there, _) = own_server::with_outbox(newest, layout).await;
    let outbox = PgOutbox::new(pipeline);
    let [mut one, mut other] = [here.client().await, own_server::client(there.url()).await];
    for client in [&one, &other] {
        client.batch_execute(spoil).await.unwrap();
    }
    [refused(&mut one, &outbox).await, refused(&mut other, &outbox).await]
}

/// What enqueue says, singly and in a batch, where the transaction can then only be rolled back.
pub(crate) async fn refused(client: &mut Client, outbox: &PgOutbox) -> Error {
    let tx = client.transaction().await.unwrap();
    let batch = outbox.enqueue_all(&tx, &[event(), event()]).await.unwrap_err();
    tx.rollback().await.unwrap();
    let tx = client.transaction().await.unwrap();
    let error = outbox.enqueue(&tx, &event()).await.unwrap_err();
    assert_eq!(batch.store_fault(), error.store_fault());
    assert_eq!(batch.source().unwrap().to_string(), error.source().unwrap().to_string());
    let after = outbox.enqueue(&tx, &event()).await.unwrap_err();
    assert_eq!(after.store_fault(), Some(StoreFault::TransactionAborted));
    assert!(matches!(failure(&after), StoreFailure::TransactionAborted(_)));
    tx.rollback().await.unwrap();
    error
}

pub(crate) fn failure(error: &Error) -> &StoreFailure {
    error.source().unwrap().downcast_ref().unwrap()
}

macro_rules! is_refused {
    ($newest:expr, $layout:expr, $spoil:expr, $failure:ident, $fault:ident, $remedy:literal) => {{
        for error in refusals($newest, $layout, $spoil).await {
            assert!(matches!(failure(&error), StoreFailure::$failure(_)), "{error:?}");
            assert_eq!(error.store_fault(), Some(StoreFault::$fault));
            assert!(failure(&error).to_string().contains($remedy), "{}", failure(&error));
            assert!(failure(&error).source().is_some(), "what PostgreSQL said is below");
        }
    }};
}

#[tokio::test]
async fn what_enqueue_meets_in_the_database_is_a_typed_error_with_a_remedy() {
    let newest = &Postgres::builder().downloaded().start().await.unwrap();
    let layout = TableLayout::recommended;
    let table = "ALTER TABLE outbox.outbox_message";
    is_refused!(newest, layout(), "DROP TABLE outbox.outbox_message", TableMissing, Permanent, "Migrations::outbox");
    is_refused!(newest, layout(), &format!("{table} DROP headers"), ColumnMissing, Permanent, "Readiness");
    let retyped = format!("{table} ALTER schema_version DROP DEFAULT, ALTER schema_version TYPE uuid USING id");
    is_refused!(newest, layout(), &retyped, OtherType, Permanent, "Readiness");
    is_refused!(newest, layout(), "SET default_transaction_read_only = on", ReadOnly, Permanent, "primary");
    let partitioned = layout().with_row_life(RowLife::KeepInPartitions);
    is_refused!(newest, partitioned, "", NoPartition, Permanent, "Maintenance");
}

#[tokio::test]
async fn a_role_without_rights_and_a_taken_id_are_told_apart() {
    let (database, pipeline) = Database::with_outbox(TableLayout::recommended()).await;
    let (mut client, outbox, event) = (database.client().await, PgOutbox::new(pipeline), event());
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event).await.unwrap();
    let error = outbox.enqueue(&tx, &event).await.unwrap_err();
    assert!(matches!(failure(&error), StoreFailure::IdTaken(_)), "{error:?}");
    tx.rollback().await.unwrap();
    client.batch_execute("SET SESSION AUTHORIZATION pg_monitor").await.unwrap();
    let tx = client.transaction().await.unwrap();
    let error = outbox.enqueue(&tx, &event).await.unwrap_err();
    assert!(matches!(failure(&error), StoreFailure::MissingRight(_)), "{error:?}");
    assert!(failure(&error).to_string().contains("application_role_sql"));
}

/// PostgreSQL takes these rows, and Debezium or a consumer would stop at them.
#[tokio::test]
async fn a_column_of_another_type_or_a_nullable_header_is_found_before_the_first_event() {
    let spoilt = [
        ("ALTER created_at TYPE timestamptz", "created_at", "ALTER TABLE … TYPE timestamp"),
        ("ALTER correlation_id DROP NOT NULL", "correlation_id", "SET NOT NULL"),
        ("DROP COLUMN headers", "headers", "add it as json"),
        ("ALTER payload TYPE text", "payload", "TYPE json"),
    ];
    for (change, name, remedy) in spoilt {
        let (database, pipeline) = Database::with_outbox(TableLayout::recommended()).await;
        let client = database.client().await;
        create_slot(&client, &pipeline).await.unwrap();
        client.batch_execute(&format!("ALTER TABLE outbox.outbox_message {change}")).await.unwrap();
        let readiness = Readiness::check(&client, &pipeline).await.unwrap();
        let [Problem::Column { column, reason, .. }] = readiness.problems() else { panic!("{readiness:?}") };
        assert_eq!(column.as_str(), name);
        assert!(reason.contains(remedy), "{reason}");
        assert_eq!(rows(&client).await, 0);
    }
}
