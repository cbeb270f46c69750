use outbox_pg::tokio_postgres::Client;

use super::chain;
use crate::fixture::RelayEnv;

async fn make_partitioned(client: &Client) {
    let sql = "ALTER TABLE outbox.outbox_message RENAME TO plain;
        CREATE TABLE outbox.outbox_message (LIKE outbox.plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
        DROP TABLE outbox.plain;
        CREATE TABLE outbox.outbox_message_p PARTITION OF outbox.outbox_message DEFAULT";
    client.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn rows_that_were_published_as_those_of_partitions_arrive_once_the_root_is_published() {
    let fixture = RelayEnv::new(1).await;
    make_partitioned(&fixture.client().await).await;
    fixture.run("ALTER PUBLICATION @ SET TABLE outbox.outbox_message").await;
    fixture.run("ALTER PUBLICATION @ SET (publish_via_partition_root = false)").await;
    fixture.enqueue_each(1, 0..2).await;
    let refused = chain(&fixture.start().outcome().await.unwrap_err());
    assert!(refused.contains("publish_via_partition_root = true"), "{refused}");
    fixture.run("ALTER PUBLICATION @ SET (publish_via_partition_root = true)").await;
    fixture.enqueue_each(1, 2..4).await;
    let relay = fixture.start();
    fixture.check(&fixture.records(4).await, 4);
    fixture.confirmed().await;

    // Also of a partition that was made meanwhile.
    fixture.run("ALTER PUBLICATION @ SET (publish_via_partition_root = false)").await;
    relay.is_not_ready("publish_via_partition_root = true").await;
    fixture
        .run(
            "CREATE TABLE outbox.q PARTITION OF outbox.outbox_message FOR VALUES FROM ('2000-01-01') TO ('2000-01-02')",
        )
        .await;
    fixture
        .run(
            "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload, created_at)
         VALUES (gen_random_uuid(), 'order', 'agg-1', 'Numbered', '4', '2000-01-01')",
        )
        .await;
    fixture.run("ALTER PUBLICATION @ SET (publish_via_partition_root = true)").await;
    fixture.enqueue_each(1, 5..6).await;
    fixture.check(&fixture.records(6).await, 6);
    relay.is_ready().await;
    fixture.confirmed().await;
    relay.stop().await;
}

/// PostgreSQL writes no WAL for rows of an unlogged table or a foreign table, although its root is published.
#[tokio::test]
async fn nothing_is_confirmed_while_a_partition_is_unlogged_or_foreign() {
    let fixture = RelayEnv::new(1).await;
    make_partitioned(&fixture.client().await).await;
    fixture.run("ALTER PUBLICATION @ SET TABLE outbox.outbox_message").await;
    fixture.run("ALTER PUBLICATION @ SET (publish_via_partition_root = true)").await;
    let relay = fixture.start();
    fixture.enqueue_each(1, 0..1).await;
    fixture.confirmed().await;

    fixture.run("ALTER TABLE outbox.outbox_message_p SET UNLOGGED").await;
    let changed = fixture.end_of_wal().await;
    fixture.run("CREATE TABLE other (); DROP TABLE other").await;
    relay.is_not_ready("ALTER TABLE \"outbox\".\"outbox_message_p\" SET LOGGED").await;
    assert!(fixture.confirmed_lsn().await <= changed);
    relay.kill().await;
    let refused = chain(&fixture.start().outcome().await.unwrap_err());
    assert!(refused.contains("rows of outbox.outbox_message_p are not in the WAL"), "{refused}");

    fixture.run("ALTER TABLE outbox.outbox_message_p SET LOGGED").await;
    let relay = fixture.start();
    relay.is_ready().await;
    fixture.run("CREATE UNLOGGED TABLE outbox.q PARTITION OF outbox.outbox_message FOR VALUES FROM ('2000-01-01') TO ('2000-01-02')").await;
    relay.is_not_ready("unlogged").await;
    fixture.run("DROP TABLE outbox.q").await;
    relay.is_ready().await;
    let foreign = "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
        CREATE FOREIGN TABLE outbox.q PARTITION OF outbox.outbox_message FOR VALUES FROM ('2000-01-01') TO ('2000-01-02')
        SERVER nowhere";
    fixture.run(foreign).await;
    relay.is_not_ready("foreign table").await;
    fixture.run("DROP FOREIGN TABLE outbox.q").await;
    fixture.enqueue_each(1, 1..2).await;
    fixture.check(&fixture.records(2).await, 2);
    fixture.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;
}

/// The publication then names the rows after the root, which the configuration does not include.
#[tokio::test]
async fn nothing_is_confirmed_while_the_table_is_published_as_its_root() {
    let fixture = RelayEnv::new(1).await;
    fixture
        .run(
            "CREATE TABLE outbox.everything (LIKE outbox.outbox_message) PARTITION BY RANGE (created_at);
             ALTER TABLE outbox.everything ATTACH PARTITION outbox.outbox_message DEFAULT;
             ALTER PUBLICATION @ SET (publish_via_partition_root = true)",
        )
        .await;
    let relay = fixture.start();
    fixture.enqueue_each(1, 0..1).await;
    fixture.confirmed().await;
    relay.is_ready().await;

    fixture.run("ALTER PUBLICATION @ ADD TABLE outbox.everything").await;
    let changed = fixture.end_of_wal().await;
    fixture.run("CREATE TABLE other (); DROP TABLE other").await;
    relay.is_not_ready("as rows of outbox.everything").await;
    assert!(fixture.confirmed_lsn().await <= changed);
    fixture.run("ALTER PUBLICATION @ DROP TABLE outbox.everything").await;
    relay.is_ready().await;
    fixture.enqueue_each(1, 1..2).await;
    fixture.check(&fixture.records(2).await, 2);
    fixture.confirmed().await;
    relay.stop().await;
}
