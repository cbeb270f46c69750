use std::fs;

use outbox_pg::Migrations;
use outbox_sqlx::SqlxOutbox;
use outbox_sqlx::sqlx::migrate::Migrator;
use outbox_test_support::TestEnv;

use crate::{event, pool};

/// The service's migration is the first of the folder, and another one follows ours.
#[tokio::test]
async fn exported_files_run_as_migrations_of_sqlx_next_to_those_of_the_service() {
    let env = TestEnv::builder().database().build().await;
    let (pool, pipeline) = (pool(&env).await, env.pipeline());
    let directory = std::env::temp_dir().join(env.name());
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("20260101120000_orders.sql"), "CREATE TABLE orders (id bigint)").unwrap();
    let mut files = Migrations::outbox(pipeline).export_for_sqlx(&directory).unwrap();
    files.extend(Migrations::maintenance(pipeline).export_for_sqlx(&directory).unwrap());
    fs::write(directory.join("20260101120006_bills.sql"), "CREATE TABLE bills (id bigint)").unwrap();

    for _ in 0..2 {
        Migrator::new(&*directory).await.unwrap().run(&pool).await.unwrap();
    }
    assert_eq!(Migrations::outbox(pipeline).export_for_sqlx(&directory).unwrap(), files[..4], "nothing is new");
    fs::remove_dir_all(&directory).unwrap();

    let mut tx = pool.begin().await.unwrap();
    SqlxOutbox::new(pipeline.clone()).enqueue(&mut tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 1);
}
