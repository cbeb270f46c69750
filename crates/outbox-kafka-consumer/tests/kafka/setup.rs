use outbox_kafka_consumer::{Error, Migrations};
use outbox_test_support::pool;
use tokio::net::TcpListener;

use crate::env::{ConsumerEnv, Running};
use crate::positions::store;

/// Runs a consumer whose tables are not ready until it ends by itself.
async fn refusal(env: &ConsumerEnv, url: &str) -> String {
    let consumer = env.consumer().pool(pool(url, 4)).on(store).build().unwrap();
    let error: Error = consumer.run(std::future::pending()).await.unwrap_err();
    assert!(error.is_setup() && !error.is_transient(), "{error}");
    let text = error.to_string();
    assert!(text.contains("consumer.migrations().apply(&mut client)"), "{text}");
    assert!(text.contains("in schema \"outbox\" of database"), "{text}");
    text
}

#[tokio::test]
async fn tables_that_are_not_ready_end_run_with_the_remedy() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;

    let mut client = env.client().await;
    let role = format!("{}_reader", env.name());
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret';
             GRANT SELECT, INSERT ON effect TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA outbox TO {role};
             REVOKE UPDATE, DELETE ON outbox.consumer_held FROM {role};
             REVOKE ALL ON outbox.schema_migration FROM {role}"
        ))
        .await
        .unwrap();

    let (_, address) = env.url().rsplit_once('@').unwrap();
    let as_role = format!("postgres://{role}:secret@{address}");
    let cases = [
        ("", as_role.as_str(), format!("role {role} lacks USAGE (run GRANT USAGE ON SCHEMA \"outbox\" TO {role})")),
        ("", as_role.as_str(), format!("role {role} lacks UPDATE, DELETE on consumer_held (run GRANT")),
        (
            "INSERT INTO outbox.schema_migration VALUES ('consumer', 1000, 'later', '')",
            env.url(),
            "their schema version is 1000, and this program needs 6: run the newer version".to_owned(),
        ),
        (
            "DELETE FROM outbox.schema_migration WHERE version >= 3;
             ALTER TABLE outbox.consumer_position DROP COLUMN alone_starters",
            env.url(),
            "consumer_position.alone_starters missing; their schema version is 2, and this program needs 6. ".to_owned(),
        ),
        (
            &*format!("ALTER ROLE {role} SET default_transaction_read_only = on; GRANT USAGE ON SCHEMA outbox TO {role}"),
            as_role.as_str(),
            format!("transactions of role {role} are read-only (set default_transaction_read_only = off by ALTER ROLE"),
        ),
        (&*format!("ALTER ROLE {role} RESET default_transaction_read_only"), as_role.as_str(), "lacks".to_owned()),
        ("DROP TABLE outbox.consumer_request", env.url(), "consumer_position.alone_starters, consumer_request missing".to_owned()),
        (
            "DROP SCHEMA outbox CASCADE",
            env.url(),
            "consumer_held, consumer_inbox, consumer_lease, consumer_member, consumer_pause, consumer_position, consumer_request, consumer_subscription missing".to_owned(),
        ),
    ];

    for (change, url, problem) in cases {
        client.batch_execute(change).await.unwrap();
        let text = refusal(&env, url).await;
        assert!(text.contains(&problem), "{text}");
    }

    // The same consumer runs after the call that the error names, and the grants.
    let consumer = env.consumer().pool(pool(&as_role, 4)).on(store).build().unwrap();
    let migrations: Migrations = consumer.migrations();
    migrations.apply(&mut client).await.unwrap();
    let grants = format!(
        "GRANT USAGE ON SCHEMA outbox TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA outbox TO {role}"
    );
    client.batch_execute(&grants).await.unwrap();
    let running = Running::start(consumer);
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

/// Teams that apply exported files keep their own record, and the consumer's role need not read `schema_migration`.
#[tokio::test]
async fn tables_without_a_record_of_their_version_are_ready() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    env.client().await.batch_execute("DROP TABLE outbox.schema_migration").await.unwrap();
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_asked_again() {
    let env = ConsumerEnv::with_partitions(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody@{}/none", listener.local_addr().unwrap());
    let consumer = env.consumer().pool(pool(&url, 4)).on(store).build().unwrap();
    // Each attempt ends without an answer.
    let attempts = async move {
        for _ in 0..3 {
            drop(listener.accept().await.unwrap());
        }
    };
    consumer.run(attempts).await.unwrap();
}
