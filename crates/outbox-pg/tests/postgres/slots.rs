//! A slot that is gone, created again, or cannot be created.

use std::time::Duration;

use outbox_core::{OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{Problem, Readiness, Republish, SlotCreation, SlotOptions, create_slot};

use outbox_test_support::TestEnv;

async fn drop_slot(client: &Client, pipeline: &Pipeline) {
    client.execute("SELECT pg_drop_replication_slot($1)", &[&pipeline.slot().as_str()]).await.unwrap();
}

fn events(count: usize) -> Vec<OutboxEvent> {
    (0..count).map(|_| OutboxEvent::builder("order", "1", "Line").json("{}").build().unwrap()).collect()
}

#[tokio::test]
async fn a_slot_that_is_gone_is_created_again_only_when_asked_for() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsert] {
        let layout = TableLayout::recommended().with_row_life(life);
        let env = TestEnv::builder().layout(layout).slot().build().await;
        let (pipeline, client) = (env.pipeline(), env.client().await);
        drop_slot(&client, pipeline).await;
        env.enqueue(&events(3)).await;

        let error = create_slot(&client, pipeline).await.unwrap_err();
        let counted = if life.vanishes() { "the events since" } else { "3 events since" };
        assert!(error.is_not_ready(), "{error}");
        for part in [counted, "SlotOptions::recreate", "Republish::missed"] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
        let readiness = Readiness::check(&client, pipeline).await.unwrap();
        assert!(matches!(readiness.problems(), [Problem::SlotMissing { .. }]), "{readiness:?}");

        let again = SlotOptions::default().recreate();
        assert_eq!(again.create(&client, pipeline).await.unwrap(), SlotCreation::Recreated);
        assert_eq!(again.create(&client, pipeline).await.unwrap(), SlotCreation::Exists);
        assert_eq!(create_slot(&client, pipeline).await.unwrap(), SlotCreation::Exists);
        Readiness::check(&client, pipeline).await.unwrap().into_result().unwrap();
    }
}

/// Debezium or an administrator has created it.
#[tokio::test]
async fn a_slot_that_others_created_is_known_from_then_on() {
    let env = TestEnv::builder().outbox().build().await;
    let (pipeline, client) = (env.pipeline(), env.client().await);
    let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
    client.execute(create, &[&pipeline.slot().as_str()]).await.unwrap();
    assert_eq!(create_slot(&client, pipeline).await.unwrap(), SlotCreation::Exists);
    drop_slot(&client, pipeline).await;
    let error = create_slot(&client, pipeline).await.unwrap_err();
    assert!(error.is_not_ready() && error.to_string().contains("was there and is gone"), "{error}");
}

/// A restore brings the table and its record, and not the slot.
#[tokio::test]
async fn the_slot_of_another_cluster_is_gone() {
    let env = TestEnv::builder().slot().build().await;
    let (pipeline, client) = (env.pipeline(), env.client().await);
    env.enqueue(&events(2)).await;
    drop_slot(&client, pipeline).await;
    let other = "UPDATE outbox.outbox_message_slots SET cluster = '1', created_xid = '99999999999999'::xid8";
    client.batch_execute(other).await.unwrap();
    let error = create_slot(&client, pipeline).await.unwrap_err();
    assert!(error.is_not_ready() && error.to_string().contains("2 events since"), "{error}");

    let again = SlotOptions::default().recreate().create(&client, pipeline).await.unwrap();
    assert_eq!(again, SlotCreation::Recreated);
    let mut client = client;
    let progress = Republish::missed(pipeline.clone()).run(&mut client, "restored").await.unwrap();
    assert_eq!(progress.events, 2);
}

#[tokio::test]
async fn an_open_transaction_holds_up_a_slot_for_a_bounded_time() {
    let env = TestEnv::builder().outbox().build().await;
    let (pipeline, client) = (env.pipeline(), env.client().await);
    let mut writer = env.client().await;
    let open = writer.transaction().await.unwrap();
    open.batch_execute("CREATE TABLE held_open ()").await.unwrap();

    let hasty = SlotOptions::default().patience(Duration::from_millis(300));
    let error = hasty.create(&client, pipeline).await.unwrap_err();
    assert!(error.is_not_ready() && error.to_string().contains("a transaction stays open (process "), "{error}");
    let timeout: String = client.query_one("SHOW statement_timeout", &[]).await.unwrap().get(0);
    assert_eq!(timeout, "0", "the session has its own timeout again");

    open.rollback().await.unwrap();
    let patient = SlotOptions::default().patience(Duration::from_secs(300));
    assert_eq!(patient.create(&client, pipeline).await.unwrap(), SlotCreation::Created);
}

#[tokio::test]
async fn options_of_a_slot_are_those_of_the_server() {
    let env = TestEnv::builder().outbox().build().await;
    let (pipeline, client) = (env.pipeline(), env.client().await);
    let version: i32 = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await.unwrap().get(0);
    let failover = SlotOptions::default().failover().create(&client, pipeline).await;

    if version < 170_000 {
        let error = failover.unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains("PostgreSQL 17"), "{error}");
        let created = SlotOptions::default().two_phase().create(&client, pipeline).await.unwrap();
        assert_eq!(created, SlotCreation::Created);
        env.slot_is("two_phase").await.unwrap();
    } else {
        assert_eq!(failover.unwrap(), SlotCreation::Created);
        env.slot_is("failover AND NOT two_phase").await.unwrap();
    }
}
