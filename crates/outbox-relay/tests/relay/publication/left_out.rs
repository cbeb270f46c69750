//! Rows that the publication left out when they were written, and that the relay cannot read.

use outbox_relay::{Readiness, RowPosition};
use outbox_test_support::stack;

use super::{PARTLY_PUBLISHED, UNPUBLISHED, chain, changes};
use crate::fixture::{RelayEnv, Running};
use crate::forwarder::Forwarder;

impl Running {
    /// Returns the position up to which the relay demands to skip rows.
    async fn demanded_position(&self) -> RowPosition {
        self.is_not_ready("--skip-unpublished ").await;
        let Readiness::NotReady(reason) = self.status.readiness() else { panic!("{}", self.status.readiness()) };
        reason.rsplit_once("--skip-unpublished ").unwrap().1.parse().unwrap()
    }
}

const DROP: &str = "ALTER PUBLICATION @ DROP TABLE outbox.outbox_message";
const ADD: &str = "ALTER PUBLICATION @ ADD TABLE outbox.outbox_message";

#[tokio::test]
async fn rows_that_were_left_out_are_the_reason_why_the_relay_is_not_ready_until_they_are_skipped() {
    let env = RelayEnv::new(1).await;
    env.enqueue_each(1, 0..1).await;
    let before = env.confirmed_lsn().await;
    // While the relay is stopped. Rows of a table with another name are not left out.
    let changes = changes(&env.client().await).await;
    let leaving_out =
        changes.iter().filter(|(_, reason, _)| !reason.contains("does not exist") && *reason != "aggregate_id");
    let mut left_out = 0;
    for (change, _, repair) in leaving_out {
        env.run(change).await;
        env.enqueue_each(1, 100..101).await;
        env.run(repair).await;
        left_out += 1;
    }
    assert!(left_out >= UNPUBLISHED.len() - 2 && left_out <= UNPUBLISHED.len() + PARTLY_PUBLISHED.len());
    env.enqueue_each(1, 1..2).await;

    let relay = env.start();
    env.check(&env.records(2).await, 2);
    relay.is_not_ready(&format!("left out {left_out} rows of outbox.outbox_message")).await;
    let position = relay.demanded_position().await;
    relay.stop().await;
    assert_eq!(env.confirmed_lsn().await, before);

    // Rows that are left out later are others.
    env.run(&format!("BEGIN; {DROP}; COMMIT")).await;
    env.enqueue_each(1, 100..103).await;
    env.run(ADD).await;
    let relay = env.start_with(|settings| settings.skip_unpublished([position.clone()]));
    relay.is_not_ready("left out 3 rows of outbox.outbox_message").await;
    let last = relay.demanded_position().await;
    relay.stop().await;

    let relay = env.start_with(|settings| settings.skip_unpublished([position, last.clone()]));
    env.enqueue_each(1, 2..3).await;
    env.check(&env.records(3).await, 3);
    env.confirmed().await;
    relay.is_ready().await;

    // While it runs.
    env.run(DROP).await;
    env.enqueue_each(1, 100..101).await;
    env.run(ADD).await;
    relay.is_not_ready("left out 1 row of outbox.outbox_message").await;
    env.enqueue_each(1, 3..4).await;
    env.check(&env.records(4).await, 4);
    assert!(relay.demanded_position().await > last);
    relay.stop().await;
}

/// From PostgreSQL 15 on, a table is published while it is in a published schema.
#[tokio::test]
async fn rows_that_were_written_while_the_table_was_in_another_schema_are_found() {
    let env = RelayEnv::new(1).await;
    if changes(&env.client().await).await.len() == UNPUBLISHED.len() {
        return;
    }
    let publish = "DROP PUBLICATION @; CREATE PUBLICATION @ FOR TABLES IN SCHEMA outbox WITH (publish = 'insert')";
    env.run(publish).await;
    let (away, back) =
        ("ALTER TABLE outbox.outbox_message SET SCHEMA public", "ALTER TABLE public.outbox_message SET SCHEMA outbox");
    let insert = "INSERT INTO public.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
        VALUES (gen_random_uuid(), 'order', 'agg-0', 'Numbered', '100')";
    // Another table of the name is none that was moved.
    env.run("CREATE SCHEMA other; CREATE TABLE other.outbox_message (LIKE outbox.outbox_message INCLUDING ALL)").await;
    env.run(&insert.replace("public", "other")).await;
    env.run(away).await;
    env.run(back).await;
    let relay = env.start();
    env.enqueue_each(1, 0..1).await;
    env.confirmed().await;
    relay.is_ready().await;

    for statement in [away, insert, back] {
        env.run(statement).await;
    }
    relay.is_not_ready("left out 1 row of outbox.outbox_message").await;
    relay.stop().await;
    let relay = env.start();
    relay.is_not_ready("left out 1 row of outbox.outbox_message").await;
    relay.stop().await;
}

/// The publication changes, and sends each row.
#[tokio::test]
async fn changes_that_leave_out_no_row_stop_nothing() {
    let env = RelayEnv::new(1).await;
    env.enqueue_each(1, 0..1).await;
    env.run(&format!("{DROP}; {ADD}")).await;
    // The same name is another table after the change.
    env.run(
        "ALTER TABLE outbox.outbox_message RENAME TO plain;
             CREATE TABLE outbox.outbox_message (LIKE outbox.plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
             DROP TABLE outbox.plain; ALTER PUBLICATION @ ADD TABLE outbox.outbox_message;
             ALTER PUBLICATION @ SET (publish_via_partition_root = true);
             CREATE TABLE outbox.p PARTITION OF outbox.outbox_message DEFAULT",
    )
    .await;
    env.enqueue_at_once(1, 1..500).await;

    // These were no rows of the outbox when they were written.
    let insert = "INSERT INTO outbox.q (id, aggregate_type, aggregate_id, event_type, payload, created_at)
        VALUES (gen_random_uuid(), 'order', 'agg-0', 'Numbered', '1000', '2000-01-01')";

    env.run("CREATE TABLE outbox.q (LIKE outbox.outbox_message INCLUDING DEFAULTS)").await;
    env.run(insert).await;
    let attach =
        "ALTER TABLE outbox.outbox_message ATTACH PARTITION outbox.q FOR VALUES FROM ('2000-01-01') TO ('2000-01-02')";
    env.run(attach).await;
    env.run(&insert.replace("outbox.q", "outbox.outbox_message").replace("1000", "500")).await;

    let relay = env.start();
    env.check(&env.records(501).await, 501);
    env.confirmed().await;
    relay.is_ready().await;
    env.run(&format!("{DROP}; {ADD}")).await;
    env.enqueue_each(1, 501..502).await;
    env.check(&env.records(502).await, 502);
    env.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;
}

/// The columns that a column list left out for a while can be in no record.
#[tokio::test]
async fn a_row_that_lacks_columns_is_poison() {
    let env = RelayEnv::new(1).await;
    let changes = changes(&env.client().await).await;
    let Some((change, _, repair)) = changes.iter().find(|(_, reason, _)| *reason == "aggregate_id") else { return };
    env.enqueue_each(1, 0..1).await;
    env.run(change).await;
    env.enqueue_each(1, 1..2).await;
    env.run(repair).await;
    let stopped = env.start().outcome().await.unwrap_err();
    assert!(stopped.is_poison(), "{}", chain(&stopped));
    env.check(&env.records(1).await, 1);
}

#[tokio::test]
async fn a_slot_that_was_dropped_and_created_again_while_the_relay_reconnects_is_noticed() {
    let mut env = RelayEnv::new(1).await;
    let server = ([127, 0, 0, 1], stack().postgres_port()).into();
    let forwarder = Forwarder::to(server).await;
    env.config = env.config.with("database.port", forwarder.port().to_string());
    let relay = env.start();
    relay.is_live().await;
    env.enqueue_each(1, 0..1).await;
    env.confirmed().await;

    // Nobody listens on this port.
    forwarder.leads_to(([127, 0, 0, 1], 1).into());
    env.slot_becomes("NOT active").await;
    let slot = env.name();
    env.run(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    env.enqueue_each(1, 100..101).await;
    env.run(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    forwarder.leads_to(server);
    relay.is_not_ready("dropped and created again").await;
    env.enqueue_each(1, 1..2).await;
    env.check(&env.records(2).await, 2);
    env.confirmed().await;
    relay.is_not_ready("docs/guides/replay.md").await;
    relay.stop().await;

    // Another relay may move the slot while this one cannot connect.
    let relay = env.start();
    relay.is_live().await;
    env.enqueue_each(1, 2..3).await;
    env.confirmed().await;
    forwarder.leads_to(([127, 0, 0, 1], 1).into());
    env.slot_becomes("NOT active").await;
    env.config = env.config.with("database.port", stack().postgres_port().to_string());
    let second = env.start();
    env.enqueue_each(1, 3..4).await;
    env.confirmed().await;
    second.stop().await;
    forwarder.leads_to(server);
    env.enqueue_each(1, 4..5).await;
    env.check(&env.records(5).await, 5);
    env.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;
}
