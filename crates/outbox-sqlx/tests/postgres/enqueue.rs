use outbox_core::{OutboxEvent, StoreFault};
use outbox_sqlx::sqlx::{self, Connection as _};
use outbox_sqlx::{SqlxOutbox, StatementCaching};

use outbox_test_support::TestEnv;

use crate::{event, pool};

#[tokio::test]
async fn a_committed_event_is_there_and_a_rolled_back_one_is_not() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, &event(2)).await.unwrap();
    outbox.enqueue_all(&mut tx, &[event(3), event(4)]).await.unwrap();
    tx.rollback().await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, &event(5)).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    outbox.enqueue(&mut savepoint, &event(6)).await.unwrap();
    savepoint.rollback().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 2);
}

#[tokio::test]
async fn many_events_keep_their_order_in_the_wal() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    sqlx::query(create).bind(env.name()).execute(&pool).await.unwrap();

    let big = "x".repeat(900_000);
    let events: Vec<_> = (0..500)
        .map(|n| {
            let text = if n % 50 == 0 { big.as_str() } else { "" };
            OutboxEvent::builder("order", "1", format!("Line-{n}")).json(format!("\"{text}\"")).build().unwrap()
        })
        .collect();
    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue_all(&mut tx, &events).await.unwrap();
    outbox.enqueue_all(&mut tx, &[]).await.unwrap();
    tx.commit().await.unwrap();

    let read = r"SELECT substring(data FROM 'Line-(\d+)')::int FROM pg_logical_slot_get_changes($1, NULL, NULL)
                 WHERE data LIKE 'table outbox.outbox_message%'";
    let stored: Vec<i32> = sqlx::query_scalar(read).bind(env.name()).fetch_all(&pool).await.unwrap();
    assert_eq!(stored, (0..500).collect::<Vec<_>>());
}

/// A named statement would be met by another client behind PgBouncer.
#[tokio::test]
async fn statements_are_kept_or_not_as_was_chosen() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let named = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO %'";
    let outbox = SqlxOutbox::new(env.pipeline().clone());

    for (caching, kept) in [(StatementCaching::Unnamed, 0), (StatementCaching::Cached, 2)] {
        let outbox = outbox.clone().statement_caching(caching);
        let mut tx = pool.begin().await.unwrap();
        for _ in 0..2 {
            outbox.enqueue(&mut tx, &event(1)).await.unwrap();
            outbox.enqueue_all(&mut tx, &[event(2), event(3)]).await.unwrap();
        }
        let found: i64 = sqlx::query_scalar(named).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(found, kept, "{caching:?}");
        tx.commit().await.unwrap();
    }
    assert_eq!(env.rows().await, 12);
}

#[tokio::test]
async fn an_event_that_breaks_a_rule_leaves_the_transaction_usable() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone().with_record_limit(3_000));
    let mut tx = pool.begin().await.unwrap();
    let large = OutboxEvent::builder("order", "1", "x").json(format!("\"{}\"", "x".repeat(3_000))).build().unwrap();
    let error = outbox.enqueue(&mut tx, &large).await.unwrap_err();
    assert!(error.is_invalid_event());
    assert_eq!(error.field(), Some("payload"));
    assert!(outbox.enqueue_all(&mut tx, &[event(1), large]).await.unwrap_err().is_invalid_event());
    outbox.enqueue(&mut tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 1);
}

#[tokio::test]
async fn after_a_failed_enqueue_the_transaction_is_aborted_although_commit_answers_ok() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    let first = event(1);
    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue(&mut tx, &first).await.unwrap();
    let error = outbox.enqueue(&mut tx, &first).await.unwrap_err();
    assert_eq!(error.store_fault(), Some(StoreFault::Permanent));
    let error = outbox.enqueue(&mut tx, &event(2)).await.unwrap_err();
    assert_eq!(error.store_fault(), Some(StoreFault::TransactionAborted));
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 0);
}
