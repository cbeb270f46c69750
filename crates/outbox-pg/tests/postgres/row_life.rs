use outbox_core::{OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::error::SqlState;
use outbox_pg::tokio_postgres::{Client, IsolationLevel};
use outbox_pg::{Enqueued, Migrations, OnDuplicate, PgOutbox};

use outbox_test_support::TestEnv;

fn event(name: &str) -> OutboxEvent {
    OutboxEvent::builder("order", "1", name).build().unwrap()
}

fn living(life: RowLife) -> TableLayout {
    TableLayout::recommended().with_row_life(life)
}

/// Returns the types of the events that the slot of this database has in its WAL, by their prefix.
async fn in_wal(client: &Client, env: &TestEnv, prefix: &str) -> Vec<String> {
    let sql = format!(
        r"SELECT substring(data FROM '({prefix}\w*)') FROM pg_logical_slot_peek_changes($1, NULL, NULL)
          WHERE data ~ '^table outbox.outbox_message: INSERT'"
    );
    client.query(&sql, &[&env.name()]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn create_test_slot(client: &Client, env: &TestEnv) {
    let sql = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    client.execute(sql, &[&env.name()]).await.unwrap();
}

#[tokio::test]
async fn a_row_that_vanishes_is_in_the_wal_in_its_order_and_not_in_the_table() {
    for life in [RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds] {
        let env = TestEnv::builder().layout(living(life)).outbox().build().await;
        let (mut client, outbox) = (env.client().await, env.outbox());
        create_test_slot(&client, &env).await;
        let batch: Vec<_> = (0..1_000).map(|n| event(&format!("Line{n}"))).collect();
        let tx = client.transaction().await.unwrap();
        outbox.enqueue(&tx, &event("LineFirst")).await.unwrap();
        outbox.enqueue_all(&tx, &batch).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(env.rows().await, 0);
        let stored = in_wal(&client, &env, "Line").await;
        assert_eq!(stored[0], "LineFirst");
        assert!(stored[1..].iter().map(String::as_str).eq(batch.iter().map(|event| event.event_type().as_str())));
    }
}

/// A plan made while the table was empty must not read every dead row of it at each insert.
#[tokio::test]
async fn vanishing_stays_cheap_over_dead_rows_that_no_vacuum_may_remove() {
    let env = TestEnv::builder().layout(living(RowLife::DeleteOnInsert)).outbox().build().await;
    let (mut client, mut older, outbox) = (env.client().await, env.client().await, env.outbox());
    client.batch_execute("VACUUM ANALYZE outbox.outbox_message").await.unwrap();
    let snapshot = older.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await.unwrap();
    rows_of(&snapshot).await;
    let scans = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'outbox_message'";
    let batch: Vec<_> = (0..5_000).map(|_| event("Line")).collect();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event("Line")).await.unwrap();
    outbox.enqueue_all(&tx, &batch).await.unwrap();
    for _ in 0..20 {
        outbox.enqueue(&tx, &event("Line")).await.unwrap();
    }

    let read: i64 = tx.query_one(scans, &[]).await.unwrap().get(0);
    assert_eq!(read, 0, "rows read by sequential scans");
}

/// Transactions that read the same pages of an index, and write them, would be refused.
#[tokio::test]
async fn under_serializable_vanishing_lets_independent_transactions_commit() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds] {
        let env = TestEnv::builder().layout(living(life)).outbox().build().await;
        let outbox = env.outbox();
        let mut clients = [env.client().await, env.client().await, env.client().await];
        let mut open = Vec::new();
        for client in &mut clients {
            let tx = client.build_transaction().isolation_level(IsolationLevel::Serializable).start().await.unwrap();
            tx.batch_execute("SELECT").await.unwrap();
            open.push(tx);
        }
        for tx in &open {
            outbox.enqueue(tx, &event("Line")).await.unwrap();
        }

        for tx in open {
            outbox.enqueue(&tx, &event("Line")).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}

async fn rows_of(tx: &outbox_pg::tokio_postgres::Transaction<'_>) -> i64 {
    tx.query_one("SELECT count(*) FROM outbox.outbox_message", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_table_is_switched_to_the_other_life_and_back_and_its_rows_stay() {
    let env = TestEnv::builder().outbox().build().await;
    let keep = env.pipeline().clone();
    let mut client = env.client().await;
    let with = |life| Pipeline::new(keep.config().clone(), living(life)).unwrap();
    let steps = [
        (RowLife::Keep, None, 1),
        (RowLife::DeleteOnInsert, Some(RowLife::DeleteOnInsert), 1),
        (RowLife::DeleteOnInsertKeepIds, Some(RowLife::DeleteOnInsertKeepIds), 1),
        (RowLife::Keep, Some(RowLife::Keep), 2),
    ];

    for (life, switched, left) in steps {
        let pipeline = with(life);
        let migrations = Migrations::outbox(&pipeline);
        let plan = migrations.plan(&client).await.unwrap();
        assert_eq!(plan.is_empty(), switched.is_none(), "{plan}");
        assert_eq!(migrations.apply(&mut client).await.unwrap().row_life, switched);
        assert_eq!(migrations.apply(&mut client).await.unwrap().row_life, None, "it is so already");
        let tx = client.transaction().await.unwrap();
        PgOutbox::new(pipeline).enqueue(&tx, &event("Line")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(env.rows().await, left, "{life:?}");
    }
}

#[tokio::test]
async fn an_event_enqueued_again_is_known_and_the_transaction_lives_on() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsertKeepIds] {
        let env = TestEnv::builder().layout(living(life)).outbox().build().await;
        let mut client = env.client().await;
        create_test_slot(&client, &env).await;

        let accepting = env.outbox().idempotent(OnDuplicate::Ignore).unwrap();
        let refusing = env.outbox().idempotent(OnDuplicate::Error).unwrap();
        let (first, second, third) = (event("LineA"), event("LineB"), event("LineC"));
        let tx = client.transaction().await.unwrap();
        assert_eq!(accepting.enqueue(&tx, &first).await.unwrap(), Enqueued::Enqueued);
        assert_eq!(accepting.enqueue(&tx, &first).await.unwrap(), Enqueued::AlreadyEnqueued);

        tx.commit().await.unwrap();
        let tx = client.transaction().await.unwrap();
        assert_eq!(accepting.enqueue(&tx, &first).await.unwrap(), Enqueued::AlreadyEnqueued);
        assert!(refusing.enqueue(&tx, &first).await.unwrap_err().is_already_enqueued());
        assert_eq!(accepting.enqueue_all(&tx, &[first.clone(), second.clone()]).await.unwrap(), 1);
        assert!(refusing.enqueue_all(&tx, &[second, third]).await.unwrap_err().is_already_enqueued());
        tx.commit().await.unwrap();
        assert_eq!(in_wal(&client, &env, "Line").await, ["LineA", "LineB", "LineC"], "{life:?}");
    }
}

#[tokio::test]
async fn the_same_event_of_two_transactions_at_once_is_enqueued_by_one_of_them() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsertKeepIds] {
        let env = TestEnv::builder().layout(living(life)).outbox().build().await;
        let outbox = env.outbox().idempotent(OnDuplicate::Ignore).unwrap();
        let (mut one, mut two) = (env.client().await, env.client().await);
        let event = event("Line");
        let first = one.transaction().await.unwrap();
        assert_eq!(outbox.enqueue(&first, &event).await.unwrap(), Enqueued::Enqueued);
        let second = two.transaction().await.unwrap();
        let (committed, waited) = tokio::join!(first.commit(), outbox.enqueue(&second, &event));
        committed.unwrap();
        assert_eq!(waited.unwrap(), Enqueued::AlreadyEnqueued);
        second.commit().await.unwrap();
    }
}

#[tokio::test]
async fn without_kept_ids_idempotence_cannot_be_asked_for_and_a_repeated_id_is_never_lost_in_silence() {
    let pipeline = Pipeline::new(
        outbox_core::ConnectorConfig::recommended(&living(RowLife::DeleteOnInsert)),
        living(RowLife::DeleteOnInsert),
    );
    let error = PgOutbox::new(pipeline.unwrap()).idempotent(OnDuplicate::Ignore).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("DeleteOnInsertKeepIds"), "{error}");

    let env = TestEnv::builder().layout(living(RowLife::DeleteOnInsertKeepIds)).outbox().build().await;
    let (mut client, outbox, event) = (env.client().await, env.outbox(), event("Line"));
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event).await.unwrap();
    assert!(outbox.enqueue(&tx, &event).await.unwrap_err().is_already_enqueued());
    assert!(outbox.enqueue_all(&tx, &[event]).await.unwrap_err().is_already_enqueued());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_switch_gives_way_to_a_transaction_that_writes() {
    let env = TestEnv::builder().outbox().build().await;
    let keep = env.pipeline().clone();
    let (mut client, mut writer) = (env.client().await, env.client().await);
    let tx = writer.transaction().await.unwrap();
    env.outbox().enqueue(&tx, &event("Line")).await.unwrap();
    let vanish = Pipeline::new(keep.config().clone(), living(RowLife::DeleteOnInsert)).unwrap();
    let error = Migrations::outbox(&vanish).apply(&mut client).await.unwrap_err();
    assert!(error.is_transient() && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE), "{error:?}");
}

#[tokio::test]
async fn a_plain_table_is_not_switched_to_one_in_partitions_nor_back() {
    let plain = [RowLife::Keep, RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds];
    let switches = plain.map(|life| [(life, RowLife::Partitioned), (RowLife::Partitioned, life)]);
    for (from, to) in switches.into_iter().flatten() {
        let env = TestEnv::builder().layout(living(from)).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let mut client = env.client().await;
        let other = Migrations::outbox(&Pipeline::new(pipeline.config().clone(), living(to)).unwrap());
        let error = other.apply(&mut client).await.unwrap_err();
        assert!(error.is_migration_conflict(), "{from:?} {to:?} {error:?}");
        assert!(Migrations::outbox(&pipeline).plan(&client).await.unwrap().is_empty(), "nothing is changed");
    }
}
