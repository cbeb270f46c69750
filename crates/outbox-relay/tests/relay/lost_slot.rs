use outbox_net::ErrorChain;
use outbox_relay::CheckStatus;
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::{Postgres, PostgresBuilder};

use crate::fixture::RelayEnv;
use crate::preflight::assert_reports;

#[tokio::test]
async fn the_reason_of_an_invalidated_slot_is_named() {
    assert_named(Postgres::builder().downloaded(), "wal_removed").await;
}

/// Version 17 is the first one with `invalidation_reason`.
#[tokio::test]
async fn the_installed_postgresql_names_the_state_of_an_invalidated_slot() {
    assert_named(Postgres::builder(), "wal_").await;
}

async fn assert_named(builder: PostgresBuilder, reason: &str) {
    let postgres = builder.setting("max_slot_wal_keep_size", "1MB").start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), 1).await;
    let client = fixture.client().await;
    eventually("the slot is invalidated", async || {
        client.batch_execute("SELECT pg_logical_emit_message(true, '', repeat('x', 1000))").await.unwrap();
        client.batch_execute("SELECT pg_switch_wal()").await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        fixture.slot_is("wal_status = 'lost'").await
    })
    .await;

    let checks = fixture.relay(|settings| settings).check(&[]).await;
    assert_reports(&checks, "slot", CheckStatus::Failed, &[&format!("is lost ({reason}"), "create it again"]);
    let error = fixture.start().outcome().await.unwrap_err();
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains(&format!("is lost ({reason}")) && shown.contains("create it again"), "{shown}");
}
