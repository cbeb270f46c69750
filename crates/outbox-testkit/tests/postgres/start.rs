use outbox_testkit::{Durability, Postgres};

use crate::{connect, show};

#[tokio::test]
async fn a_started_server_decodes_what_is_written() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let client = connect(database.url()).await;

    client.batch_execute("CREATE TABLE outbox (id int); CREATE PUBLICATION p FOR TABLE outbox").await.unwrap();
    client.batch_execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await.unwrap();
    client.batch_execute("INSERT INTO outbox VALUES (1)").await.unwrap();
    let changes = "SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', \
                   'publication_names', 'p')";
    let first_bytes: Vec<u8> =
        client.query(changes, &[]).await.unwrap().iter().map(|row| row.get::<_, &[u8]>(0)[0]).collect();
    // Begin, Relation, Insert, Commit.
    assert_eq!(first_bytes, b"BRIC");
}

#[tokio::test]
async fn the_server_has_room_for_many_tests_at_once() {
    let postgres = Postgres::shared().await.unwrap();
    let client = connect(&postgres.url()).await;
    for (setting, value) in [
        ("wal_level", "logical"),
        ("max_replication_slots", "32"),
        ("max_wal_senders", "32"),
        ("max_connections", "200"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("fsync", "off"),
        ("synchronous_commit", "on"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(show(&client, setting).await, value, "{setting}");
    }
}

#[tokio::test]
async fn all_ask_for_the_same_shared_server() {
    let (one, other) = tokio::join!(Postgres::shared(), Postgres::shared());
    assert_eq!(one.unwrap().address(), other.unwrap().address());
}

#[tokio::test]
async fn settings_and_durability_are_a_choice() {
    let builder = Postgres::builder().durability(Durability::Full).setting("wal_sender_timeout", "3s");
    let postgres = builder.start().await.unwrap();
    let client = connect(&postgres.url()).await;
    assert_eq!(show(&client, "fsync").await, "on");
    assert_eq!(show(&client, "wal_sender_timeout").await, "3s");
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let error = Postgres::builder().setting("wal_level", "nonsense").start().await.unwrap_err();
    assert!(error.to_string().contains("invalid value for parameter \"wal_level\": \"nonsense\""), "{error}");
    assert!(!error.is_not_installed());
}

#[tokio::test]
async fn only_those_who_know_the_password_get_in() {
    let postgres = Postgres::shared().await.unwrap();
    let (_, rest) = postgres.url().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let password = rest.split(':').nth(1).unwrap().split('@').next().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    assert!(!format!("{postgres:?}").contains(&password), "{postgres:?}");

    let stranger = postgres.url().replace(&password, "postgres");
    assert!(tokio_postgres::connect(&stranger, tokio_postgres::NoTls).await.is_err());
}
