use outbox_core::TableLayout;
use outbox_sqlx::sqlx;
use outbox_sqlx::{OnDuplicate, SqlxOutbox, StatementCaching};

use outbox_test_support::TestEnv;

use crate::{event, pool};

#[tokio::test]
async fn an_event_without_a_table_is_a_message_of_its_transaction() {
    let env = TestEnv::builder().layout(TableLayout::messages()).outbox().build().await;
    let pool = pool(&env).await;
    let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    sqlx::query(create).bind(env.name()).execute(&pool).await.unwrap();

    for caching in [StatementCaching::Cached, StatementCaching::Unnamed] {
        // A new connection knows no types of earlier statements.
        let pool = crate::pool(&env).await;
        let outbox = SqlxOutbox::new(env.pipeline().clone()).statement_caching(caching);
        let mut tx = pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, &event(1)).await.unwrap();
        outbox.enqueue_all(&mut tx, &[event(2), event(3)]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        outbox.enqueue(&mut tx, &event(4)).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(outbox.idempotent(OnDuplicate::Ignore).is_err());
    }

    let read = "SELECT count(*) FROM pg_logical_slot_get_changes($1, NULL, NULL)
                WHERE data LIKE 'message: transactional: 1 prefix: outbox.outbox_message, %'";
    let emitted: i64 = sqlx::query_scalar(read).bind(env.name()).fetch_one(&pool).await.unwrap();
    assert_eq!(emitted, 6);
}
