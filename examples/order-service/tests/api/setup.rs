use outbox_core::{Outbox, OutboxEvent};
use outbox_pg::{PgOutbox, Readiness};

use crate::fixture::{TestDatabase, program, with_database};

#[tokio::test]
async fn setup_says_what_it_did_and_is_harmless_when_repeated() {
    with_database(async |database| {
        let first = said(database).await;
        for line in [
            "outbox table and publication: applied 2 migrations",
            "consumer tables: applied",
            "order-service tables: applied 2 migrations",
            &format!("replication slot {}: created", database.name),
        ] {
            assert!(first.contains(line), "{first}");
        }
        let sql = "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 101, 2)";
        database.client().await.execute(sql, &[]).await.unwrap();

        let second = said(database).await;
        assert_eq!(second.matches("up to date").count(), 3, "{second}");
        assert!(second.contains(&format!("replication slot {}: exists", database.name)), "{second}");
        assert_eq!(database.count("order_service.orders").await, 1);
        assert!(Readiness::check(&database.client().await, &database.pipeline).await.unwrap().problems().is_empty());
    })
    .await;
}

#[tokio::test]
async fn setups_at_once_do_not_hinder_each_other() {
    with_database(async |database| {
        let said = futures_util::future::join_all((0..4).map(|_| said(database))).await;
        assert_eq!(said.iter().filter(|text| text.contains(": created")).count(), 1, "{said:#?}");
        assert_eq!(said.iter().filter(|text| text.contains("publication: applied 2")).count(), 1, "{said:#?}");
        assert!(Readiness::check(&database.client().await, &database.pipeline).await.unwrap().problems().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_no_row() {
    with_database(async |database| {
        database.set_up().await;
        let outbox = PgOutbox::new(database.pipeline.clone());
        let event = OutboxEvent::builder("order", "1", "OrderCreated").json("{}").build().unwrap();
        let mut client = database.client().await;
        let sql = "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 101, 2)";

        let tx = client.transaction().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        Outbox::enqueue(&outbox, &tx, &event).await.unwrap();
        tx.rollback().await.unwrap();
        let tx = client.transaction().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        outbox.enqueue(&tx, &event).await.unwrap();
        drop(tx);

        assert_eq!(database.count("order_service.orders").await, 0);
        assert_eq!(database.count("outbox.outbox_message").await, 0);
    })
    .await;
}

async fn said(database: &TestDatabase) -> String {
    let output = program::run(database, &["setup"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}
