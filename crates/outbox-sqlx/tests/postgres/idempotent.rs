use outbox_core::{RowLife, TableLayout};
use outbox_sqlx::{Enqueued, OnDuplicate, SqlxOutbox};

use outbox_test_support::TestEnv;

use crate::{event, pool};

#[tokio::test]
async fn an_event_enqueued_again_is_known_and_the_transaction_goes_on() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsertKeepIds] {
        let env = TestEnv::builder().layout(TableLayout::recommended().with_row_life(life)).outbox().build().await;
        let pool = pool(&env).await;
        let outbox = SqlxOutbox::new(env.pipeline().clone());
        let accepting = outbox.clone().idempotent(OnDuplicate::Ignore).unwrap();
        let refusing = outbox.clone().idempotent(OnDuplicate::Error).unwrap();
        let (first, second) = (event(1), event(2));
        let mut tx = pool.begin().await.unwrap();
        assert_eq!(accepting.enqueue(&mut tx, &first).await.unwrap(), Enqueued::Enqueued);
        tx.commit().await.unwrap();

        let mut tx = pool.begin().await.unwrap();
        assert_eq!(accepting.enqueue(&mut tx, &first).await.unwrap(), Enqueued::AlreadyEnqueued);
        assert!(refusing.enqueue(&mut tx, &first).await.unwrap_err().is_already_enqueued());

        let again = [first.clone(), second.clone()];
        assert_eq!(accepting.enqueue_all(&mut tx, &again).await.unwrap(), 1);
        assert!(refusing.enqueue_all(&mut tx, &again).await.unwrap_err().is_already_enqueued());
        assert_eq!(refusing.enqueue(&mut tx, &event(3)).await.unwrap(), Enqueued::Enqueued, "the transaction lives");
        tx.commit().await.unwrap();
        assert_eq!(env.rows().await, if life == RowLife::Keep { 3 } else { 0 });
    }
}

#[tokio::test]
async fn where_rows_vanish_without_a_trace_no_event_can_be_known() {
    let env = TestEnv::builder()
        .layout(TableLayout::recommended().with_row_life(RowLife::DeleteOnInsert))
        .outbox()
        .build()
        .await;
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone());
    assert!(outbox.clone().idempotent(OnDuplicate::Ignore).unwrap_err().is_configuration());
    let mut tx = pool.begin().await.unwrap();
    outbox.enqueue_all(&mut tx, &[event(1), event(2)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 0);
}

#[tokio::test]
async fn a_table_without_a_unique_id_is_refused_before_anything_is_stored() {
    let env = TestEnv::builder().outbox().build().await;
    let drop = "ALTER TABLE outbox.outbox_message DROP CONSTRAINT outbox_message_pkey";
    env.client().await.batch_execute(drop).await.unwrap();
    let pool = pool(&env).await;
    let outbox = SqlxOutbox::new(env.pipeline().clone()).idempotent(OnDuplicate::Ignore).unwrap();
    let mut tx = pool.begin().await.unwrap();
    let error = outbox.enqueue(&mut tx, &event(1)).await.unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("unique index"), "{error}");
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 0);
}
