use outbox_core::{Outbox, OutboxEvent};
use outbox_pg::Readiness;
use outbox_test_support::TestEnv;

use crate::fixture::{builder, program, set_up};

#[tokio::test]
async fn setup_says_what_it_did_and_is_harmless_when_repeated() {
    let env = builder().build().await;
    let first = said(&env).await;
    for line in [
        "outbox table and publication: applied 4 migrations",
        "maintenance tables: applied",
        "consumer tables: applied",
        "order-service tables: applied 3 migrations",
        &format!("replication slot {}: created", env.name()),
    ] {
        assert!(first.contains(line), "{first}");
    }
    let sql = "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 101, 2)";
    env.client().await.execute(sql, &[]).await.unwrap();

    let second = said(&env).await;
    assert_eq!(second.matches("up to date").count(), 4, "{second}");
    assert!(second.contains(&format!("replication slot {}: exists", env.name())), "{second}");
    assert_eq!(env.count("order_service.orders").await, 1);
    assert!(Readiness::check(&env.client().await, env.pipeline()).await.unwrap().problems().is_empty());
}

#[tokio::test]
async fn setups_at_once_do_not_hinder_each_other() {
    let env = builder().build().await;
    let said = futures_util::future::join_all((0..4).map(|_| said(&env))).await;
    assert_eq!(said.iter().filter(|text| text.contains(": created")).count(), 1, "{said:#?}");
    assert_eq!(said.iter().filter(|text| text.contains("publication: applied 4")).count(), 1, "{said:#?}");
    assert!(Readiness::check(&env.client().await, env.pipeline()).await.unwrap().problems().is_empty());
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_no_row() {
    let env = set_up().await;
    let outbox = env.outbox();
    let event = OutboxEvent::builder("order", "1", "OrderCreated").json("{}").build().unwrap();
    let mut client = env.client().await;
    let sql = "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 101, 2)";

    let tx = client.transaction().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    Outbox::enqueue(&outbox, &tx, &event).await.unwrap();
    tx.rollback().await.unwrap();
    let tx = client.transaction().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    outbox.enqueue(&tx, &event).await.unwrap();
    drop(tx);

    assert_eq!(env.count("order_service.orders").await, 0);
    assert_eq!(env.count("outbox.outbox_message").await, 0);
}

async fn said(env: &TestEnv) -> String {
    let output = program::run(env, &["setup"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}
