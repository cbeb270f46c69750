use outbox_testkit::Postgres;

use crate::connect;

#[tokio::test]
async fn databases_do_not_see_each_other() {
    let postgres = Postgres::shared().await.unwrap();
    let (one, other) = tokio::join!(postgres.database(), postgres.database());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.name(), other.name());

    for database in [&one, &other] {
        connect(database.url()).await.batch_execute("CREATE TABLE outbox ()").await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_database_takes_its_slots_and_sessions_along() {
    let postgres = Postgres::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let name = database.name().to_owned();
    let session = connect(database.url()).await;
    session.batch_execute(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")).await.unwrap();

    drop(database);

    let server = connect(&postgres.url()).await;
    let left = "SELECT (SELECT count(*) FROM pg_database WHERE datname = $1) \
                + (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1)";
    assert_eq!(server.query_one(left, &[&name]).await.unwrap().get::<_, i64>(0), 0);
    assert!(session.batch_execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn a_database_keeps_its_server() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    drop(postgres);
    connect(database.url()).await.batch_execute("SELECT 1").await.unwrap();
}
