use outbox_core::{Error, OnDuplicate, Outbox, OutboxEvent, Payload, StoreFault};
use outbox_pg::tokio_postgres::error::SqlState;
use outbox_pg::{PgOutbox, RetriedTransaction, StatementCaching, deadpool_postgres, tokio_postgres};

use outbox_test_support::TestEnv;

fn event(n: i64) -> OutboxEvent {
    OutboxEvent::builder("order", n.to_string(), "OrderCreated").json(format!("{{\"n\":{n}}}")).build().unwrap()
}

#[tokio::test]
async fn a_committed_event_is_there_and_a_rolled_back_one_is_not() {
    let env = TestEnv::builder().outbox().build().await;
    let (mut client, outbox) = (env.client().await, env.outbox());
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event(2)).await.unwrap();
    outbox.enqueue_all(&tx, &[event(3), event(4)]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(env.rows().await, 1);
}

#[tokio::test]
async fn every_way_to_enqueue_stores_the_same_row() {
    let env = TestEnv::builder().outbox().build().await;
    let pool = env.pool();
    let mut client = pool.get().await.unwrap();
    let outbox = env.outbox();
    let unnamed = outbox.clone().statement_caching(StatementCaching::Unnamed);
    let all: Vec<_> = (0..5)
        .map(|_| event(7))
        .map(|event| {
            OutboxEvent::builder("order", "7", "OrderCreated")
                .payload(Payload::json("{ \"n\" : 1e300 }").unwrap())
                .id(event.id())
                .created_at(event.created_at())
                .schema_version(3)
                .header("tenant", "acme \"x\"")
                .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .correlation_id("c-1")
                .build()
                .unwrap()
        })
        .collect();

    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &all[0]).await.unwrap();
    unnamed.enqueue(&tx, &all[1]).await.unwrap();
    Outbox::<&deadpool_postgres::Transaction<'_>>::enqueue(&unnamed, &tx, &all[2]).await.unwrap();
    Outbox::<&tokio_postgres::Transaction<'_>>::enqueue(&outbox, &tx, &all[3]).await.unwrap();
    outbox.enqueue_all(&tx, &all[4..]).await.unwrap();
    tx.commit().await.unwrap();

    let sql = "SELECT count(*), count(DISTINCT (aggregate_type, aggregate_id, event_type, payload::text, schema_version, \
               content_type, traceparent, correlation_id, causation_id, headers::text)), min(payload::text), min(headers::text), \
               min(content_type) FROM outbox.outbox_message";
    let row = client.query_one(sql, &[]).await.unwrap();

    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (5, 1));
    assert_eq!(row.get::<_, &str>(2), "{ \"n\" : 1e300 }");
    assert_eq!(row.get::<_, &str>(3), r#"{"tenant":"acme \"x\""}"#);
    assert_eq!(row.get::<_, &str>(4), "application/json");
}

#[tokio::test]
async fn many_events_keep_their_order_in_the_wal() {
    let env = TestEnv::builder().outbox().build().await;
    let (mut client, outbox) = (env.client().await, env.outbox());
    let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    client.execute(create, &[&env.name()]).await.unwrap();

    let big = "x".repeat(900_000);
    let events: Vec<_> = (0..1_000)
        .map(|n| {
            let text = if n % 50 == 0 { big.as_str() } else { "" };
            OutboxEvent::builder("order", "1", format!("Line-{n}")).json(format!("\"{text}\"")).build().unwrap()
        })
        .collect();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue_all(&tx, &events).await.unwrap();
    outbox.enqueue_all(&tx, &[]).await.unwrap();
    tx.commit().await.unwrap();

    let read = r"SELECT substring(data FROM 'Line-(\d+)')::int FROM pg_logical_slot_get_changes($1, NULL, NULL)
                 WHERE data LIKE 'table outbox.outbox_message%'";
    let rows = client.query(read, &[&env.name()]).await.unwrap();
    let stored: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_that_breaks_a_rule_leaves_the_transaction_usable() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    let (mut client, outbox) = (env.client().await, PgOutbox::new(pipeline.with_record_limit(3_000)));
    let tx = client.transaction().await.unwrap();
    let large = OutboxEvent::builder("order", "1", "x").json(format!("\"{}\"", "x".repeat(3_000))).build().unwrap();
    let error = outbox.enqueue(&tx, &large).await.unwrap_err();
    assert!(error.is_invalid_event());
    assert_eq!(error.field(), Some("payload"));

    let error = outbox.enqueue_all(&tx, &[event(1), large]).await.unwrap_err();
    assert!(error.is_invalid_event());
    outbox.enqueue(&tx, &event(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 1);
}

#[tokio::test]
async fn after_a_failed_enqueue_the_transaction_is_aborted_although_commit_answers_ok() {
    let env = TestEnv::builder().outbox().build().await;
    let (mut client, outbox) = (env.client().await, env.outbox());
    let first = event(1);
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &first).await.unwrap();
    let error = outbox.enqueue(&tx, &first).await.unwrap_err();
    assert_eq!(error.store_fault(), Some(StoreFault::Permanent));
    assert_eq!(code(&error), Some(SqlState::UNIQUE_VIOLATION));
    let error = outbox.enqueue(&tx, &event(2)).await.unwrap_err();
    assert_eq!(error.store_fault(), Some(StoreFault::TransactionAborted));
    tx.commit().await.unwrap();
    assert_eq!(env.rows().await, 0);
}

#[tokio::test]
async fn a_serialization_failure_and_a_lost_connection_are_transient() {
    let env = TestEnv::builder().outbox().build().await;
    let outbox = env.outbox();
    let (mut one, other) = (env.client().await, env.client().await);
    let tx = one.transaction().await.unwrap();
    let pid: i32 = tx.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    other.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
    let error = outbox.enqueue(&tx, &event(1)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(tx);

    let mut client = env.client().await;
    client
        .batch_execute(
            "CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS \
        $$BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END$$; \
        CREATE TRIGGER conflict BEFORE INSERT ON outbox.outbox_message EXECUTE FUNCTION public.conflict()",
        )
        .await
        .unwrap();
    let tx = client.transaction().await.unwrap();
    assert!(outbox.enqueue(&tx, &event(1)).await.unwrap_err().is_transient());
}

fn code(error: &Error) -> Option<SqlState> {
    let source = std::error::Error::source(error)?.source()?.downcast_ref::<tokio_postgres::Error>()?;
    source.code().cloned()
}

/// A named statement fails behind PgBouncer in transaction mode, and an unnamed one is parsed each time.
#[tokio::test]
async fn every_call_caches_its_statements_or_none_does() {
    let env = TestEnv::builder().outbox().build().await;
    let named = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO %'";

    for (caching, kept) in [(StatementCaching::Unnamed, 0), (StatementCaching::Cached, 4)] {
        let outbox = env.outbox().statement_caching(caching);
        let idempotent = outbox.clone().idempotent(OnDuplicate::Error).unwrap();
        let (outbox, idempotent) = (&outbox, &idempotent);
        let mut client = env.pool().get().await.unwrap();
        let retried = RetriedTransaction::default();
        let work = retried.run_dyn(&mut client, |tx| {
            Box::pin(async move {
                outbox.enqueue(&tx, &event(1)).await?;
                outbox.enqueue_all(&tx, &[event(2), event(3)]).await?;
                anyhow::Ok(())
            })
        });
        work.await.unwrap();

        let tx = client.transaction().await.unwrap();
        outbox.enqueue(&tx, &event(4)).await.unwrap();
        outbox.publish(&tx, &Placed { order: 5 }).await.unwrap();
        outbox.enqueue_all(&tx, &[event(6)]).await.unwrap();
        idempotent.enqueue(&tx, &event(7)).await.unwrap();
        idempotent.enqueue_all(&tx, &[event(8), event(9)]).await.unwrap();

        let found: i64 = tx.query_typed(named, &[]).await.unwrap()[0].get(0);
        assert_eq!(found, kept, "{caching:?}");
        tx.commit().await.unwrap();
    }
    assert_eq!(env.rows().await, 18);
}

#[derive(serde::Serialize, outbox_core::DomainEvent)]
#[event(aggregate_type = "order")]
struct Placed {
    #[event(aggregate_id)]
    order: u32,
}
