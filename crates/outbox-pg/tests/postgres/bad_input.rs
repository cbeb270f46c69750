use std::error::Error as _;

use outbox_core::{Error, OutboxEvent, RowLife, StoreFault, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{Migrations, PgOutbox, Problem, Readiness, StoreFailure, create_slot};
use outbox_testkit::Postgres;

use outbox_test_support::TestEnv;

use crate::own_server::versions;

pub(crate) fn event() -> OutboxEvent {
    OutboxEvent::builder("order", "1", "Line").build().unwrap()
}

/// Returns what enqueue says of a table or a session that was spoilt.
async fn refusal(server: &Postgres, layout: TableLayout, spoil: &str) -> Error {
    let env = TestEnv::builder().postgres(server.url()).layout(layout).outbox().build().await;
    let mut client = env.client().await;
    client.batch_execute(spoil).await.unwrap();
    refused(&mut client, &env.outbox()).await
}

/// Returns what enqueue says, singly and in a batch, where the transaction can then only be rolled back.
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
    ($server:expr, $layout:expr, $spoil:expr, $failure:ident, $fault:ident, $remedy:literal) => {{
        let error = refusal($server, $layout, $spoil).await;
        assert!(matches!(failure(&error), StoreFailure::$failure(_)), "{error:?}");
        assert_eq!(error.store_fault(), Some(StoreFault::$fault));
        assert!(failure(&error).to_string().contains($remedy), "{}", failure(&error));
        assert!(failure(&error).source().is_some(), "what PostgreSQL said is below");
    }};
}

#[tokio::test]
async fn what_enqueue_meets_in_the_database_is_a_typed_error_with_a_remedy() {
    for builder in versions() {
        let server = &builder.start().await.unwrap();
        let layout = TableLayout::recommended;
        let table = "ALTER TABLE outbox.outbox_message";
        is_refused!(
            server,
            layout(),
            "DROP TABLE outbox.outbox_message",
            TableMissing,
            Permanent,
            "Migrations::outbox"
        );
        is_refused!(server, layout(), &format!("{table} DROP headers"), ColumnMissing, Permanent, "Readiness");
        let retyped = format!("{table} ALTER schema_version DROP DEFAULT, ALTER schema_version TYPE uuid USING id");
        is_refused!(server, layout(), &retyped, OtherType, Permanent, "Readiness");
        is_refused!(server, layout(), "SET default_transaction_read_only = on", ReadOnly, Permanent, "primary");
        let nobody = "SET SESSION AUTHORIZATION pg_monitor";
        is_refused!(server, layout(), nobody, MissingPrivilege, Permanent, "application_role_sql");
        let partitioned = layout().with_row_life(RowLife::Partitioned);
        is_refused!(server, partitioned, "", NoPartition, Permanent, "Maintenance");

        let env = TestEnv::builder().postgres(server.url()).layout(layout()).outbox().build().await;
        let (mut client, outbox, event) = (env.client().await, env.outbox(), event());
        let tx = client.transaction().await.unwrap();
        outbox.enqueue(&tx, &event).await.unwrap();
        let error = outbox.enqueue(&tx, &event).await.unwrap_err();
        assert!(matches!(failure(&error), StoreFailure::IdTaken(_)), "{error:?}");
    }
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
    for builder in versions() {
        let server = builder.start().await.unwrap();
        for (change, name, remedy) in spoilt {
            let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
            let pipeline = env.pipeline().clone();
            let client = env.client().await;
            create_slot(&client, &pipeline).await.unwrap();
            client.batch_execute(&format!("ALTER TABLE outbox.outbox_message {change}")).await.unwrap();
            let readiness = Readiness::check(&client, &pipeline).await.unwrap();
            let [Problem::Column { column, reason, .. }] = readiness.problems() else { panic!("{readiness:?}") };
            assert_eq!(column.as_str(), name);
            assert!(reason.contains(remedy), "{reason}");
            assert_eq!(env.rows().await, 0);
        }
    }
}

#[tokio::test]
async fn a_schema_that_is_older_is_upgraded_and_a_newer_one_is_left_alone() {
    for builder in versions() {
        let server = builder.start().await.unwrap();
        let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let mut client = env.client().await;
        let migrations = Migrations::outbox(&pipeline);
        let older = "DELETE FROM outbox.schema_migration WHERE version = 2; DROP PUBLICATION outbox";
        client.batch_execute(older).await.unwrap();
        let plan = migrations.plan(&client).await.unwrap();
        assert_eq!(plan.versions(), [2], "{plan}");
        let readiness = Readiness::check(&client, &pipeline).await.unwrap();
        assert!(matches!(readiness.problems()[0], Problem::PublicationMissing { .. }), "{readiness:?}");
        assert_eq!(migrations.apply(&mut client).await.unwrap().versions, [2]);

        let newer = "INSERT INTO outbox.schema_migration (component, version, name, checksum)
                     SELECT component, 99, 'of the future', checksum FROM outbox.schema_migration WHERE version = 1";
        client.batch_execute(newer).await.unwrap();
        // The instances from before an upgrade continue to work, and change nothing that the newer ones have made.
        client.batch_execute("DROP PUBLICATION outbox").await.unwrap();
        let plan = migrations.plan(&client).await.unwrap();
        assert!(plan.newer() == Some(99) && plan.is_empty(), "{plan}");
        let applied = migrations.apply(&mut client).await.unwrap();
        assert_eq!((applied.newer, applied.versions, applied.statements), (Some(99), vec![], vec![]));
    }
}
