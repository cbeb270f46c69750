//! A missing publication and a missing slot.

use outbox_net::ErrorChain;
use outbox_relay::Mode;
use outbox_test_support::{TestEnv, eventually};

use crate::fixture::RelayEnv;
use crate::program::Program;

const PARTITIONED: &str = "ALTER TABLE outbox.outbox_message RENAME TO plain;
    CREATE TABLE outbox.outbox_message (LIKE outbox.plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
    DROP TABLE outbox.plain;
    CREATE TABLE outbox.outbox_message_p PARTITION OF outbox.outbox_message DEFAULT";

impl RelayEnv {
    async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    /// Returns whether the slot exists and whether the publication does.
    async fn has(&self) -> (bool, bool) {
        let sql = "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1),
            EXISTS (SELECT FROM pg_publication)";
        let row = self.client().await.query_one(sql, &[&self.name()]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// Removes slot and publication.
    async fn without_source(&self) {
        let publication = self.env.pipeline().publication();
        self.execute(&format!(
            "SELECT pg_drop_replication_slot('{}'); DROP PUBLICATION IF EXISTS {publication}",
            self.name()
        ))
        .await;
    }
}

#[tokio::test]
async fn the_program_creates_both_for_a_partitioned_table_as_an_owner_who_is_no_superuser() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.execute(PARTITIONED).await;
    fixture.without_source().await;
    let role = format!("{}_owner", fixture.name());
    fixture
        .execute(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'sesame'; GRANT CREATE ON DATABASE {0} TO {role};
             GRANT USAGE ON SCHEMA outbox TO {role}; ALTER TABLE outbox.outbox_message OWNER TO {role}",
            fixture.name()
        ))
        .await;
    fixture.config = fixture.config.with("database.user", &*role).with("database.password", "sesame");

    let program = Program::start_with(&fixture, &["--create"]);
    eventually("both exist", async || fixture.has().await == (true, true)).await;
    // A slot that is still being created is active, but has no position, and lacks what is committed until then.
    fixture.slot_becomes("confirmed_flush_lsn IS NOT NULL").await;
    fixture.enqueue_each(2, 0..10).await;
    fixture.check(&fixture.records(10).await, 10);
    assert!(program.stop().await.success());

    // The next start finds them.
    let program = Program::start_with(&fixture, &["--create"]);
    fixture.enqueue_each(2, 10..20).await;
    fixture.check(&fixture.records(20).await, 20);
    assert!(program.stop().await.success());
}

#[tokio::test]
async fn without_the_option_an_error_has_the_command_for_each() {
    let fixture = RelayEnv::new(1).await;
    fixture.without_source().await;

    let publication = fixture.env.pipeline().publication();
    for command in [
        format!(
            "CREATE PUBLICATION {publication} FOR TABLE {} WITH (publish = 'insert', publish_via_partition_root = true)",
            fixture.env.pipeline().layout().qualified_name()
        ),
        format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", fixture.name()),
    ] {
        let error = fixture.start().outcome().await.unwrap_err();
        let shown = ErrorChain::new(&error).to_string();
        assert!(shown.contains("--create") && shown.contains(&command), "{shown}");
        fixture.execute(&command).await;
    }

    let relay = fixture.start();
    fixture.enqueue_each(1, 0..1).await;
    fixture.check(&fixture.records(1).await, 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_role_that_may_not_create_them_is_told_which_privilege_it_lacks() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.without_source().await;
    let role = format!("{}_plain", fixture.name());
    fixture
        .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'sesame'; GRANT USAGE ON SCHEMA outbox TO {role}"))
        .await;
    fixture.config = fixture.config.with("database.user", &*role).with("database.password", "sesame");
    let error = fixture.start_with(|settings| settings.create_missing()).outcome().await.unwrap_err();
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains("CREATE on the database") && shown.contains("CREATE PUBLICATION"), "{shown}");
    assert_eq!(fixture.has().await, (false, false));

    let publication = fixture.env.pipeline().publication();
    fixture.execute(&format!("CREATE PUBLICATION {publication} FOR TABLE outbox.outbox_message")).await;
    let error = fixture.start_with(|settings| settings.create_missing()).outcome().await.unwrap_err();
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains("ALTER ROLE … REPLICATION"), "{shown}");
    assert_eq!(fixture.has().await, (false, true));
}

/// It would hide that events are lost.
#[tokio::test]
async fn a_slot_that_vanishes_while_the_relay_runs_is_not_created_again() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start_with(|settings| settings.create_missing());
    eventually("the relay is live", async || relay.status.mode() == Mode::Live).await;
    let sql = "SELECT pg_terminate_backend(active_pid), pg_drop_replication_slot(slot_name)
        FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL";
    eventually("the slot is dropped", async || {
        // Between the two, the relay may have taken the slot again.
        _ = fixture.client().await.execute(sql, &[&fixture.name()]).await;
        !fixture.has().await.0
    })
    .await;

    let shown = ErrorChain::new(&relay.outcome().await.unwrap_err()).to_string();
    assert!(shown.contains("does not exist"), "{shown}");
    assert!(!fixture.has().await.0);
}

#[tokio::test]
async fn a_created_slot_is_one_for_failover_if_the_connector_says_so_and_the_server_can() {
    let server =
        outbox_testkit::Postgres::builder().downloaded().setting("wal_level", "logical").start().await.unwrap();
    for (builder, condition) in [
        (TestEnv::builder(), "coalesce((to_jsonb(s) ->> 'failover')::boolean, true)"),
        (TestEnv::builder().postgres(server.url()), "failover"),
    ] {
        let mut fixture = RelayEnv::at(builder.kafka(), 1).await;
        fixture.without_source().await;
        fixture.config = fixture.config.with("slot.failover", "true");
        let relay = fixture.start_with(|settings| settings.create_missing());
        eventually("the relay is live", async || relay.status.mode() == Mode::Live).await;
        fixture.slot_is(condition).await.unwrap();
        relay.stop().await;
    }
}
