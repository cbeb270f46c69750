use outbox_core::{OutboxEvent, TableLayout};
use outbox_pg::Readiness;

use outbox_test_support::TestEnv;

#[tokio::test]
async fn the_table_of_cloud_events_is_made_checked_and_written() {
    let layout = TableLayout::cloud_events("/shop/it's").unwrap();
    let env = TestEnv::builder().layout(layout).outbox().build().await;
    let pipeline = env.pipeline().clone();
    let mut client = env.client().await;
    outbox_pg::create_slot(&client, &pipeline).await.unwrap();
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();

    let event = || OutboxEvent::builder("order", "1", "OrderCreated").json("{}").build().unwrap();
    let outbox = env.outbox();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event()).await.unwrap();
    outbox.enqueue_all(&tx, &[event(), event()]).await.unwrap();
    tx.commit().await.unwrap();

    // A user who writes by hand needs to know neither.
    let by_hand = "INSERT INTO outbox.outbox_message (id, event_type, aggregate_type, aggregate_id, payload)
                   VALUES (gen_random_uuid(), 'OrderCreated', 'order', '1', '{}')";
    client.execute(by_hand, &[]).await.unwrap();
    let sql = "SELECT count(*) FROM outbox.outbox_message WHERE (source, spec_version) = ('/shop/it''s', '1.0')";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 4);
}
