use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::{Error, Outbox as _, OutboxEvent};
use outbox_pg::tokio_postgres::{Client, IsolationLevel, Transaction};
use outbox_pg::{PgOutbox, RetriedTransaction, TransactionError};

use outbox_test_support::TestEnv;

fn event() -> OutboxEvent {
    OutboxEvent::builder("order", "1", "Line").build().unwrap()
}

fn quick() -> RetriedTransaction {
    RetriedTransaction::default().pause(Duration::from_millis(1))
}

async fn counters() -> (TestEnv, PgOutbox, Client) {
    let env = TestEnv::builder().outbox().build().await;
    let client = env.client().await;
    let create = "CREATE TABLE public.counter (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO counter VALUES (1), (2)";
    client.batch_execute(create).await.unwrap();
    let outbox = env.outbox();
    (env, outbox, client)
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the counter")]
    Counter(#[from] outbox_pg::tokio_postgres::Error),
    #[error("the outbox")]
    Outbox(#[from] Error),
}

async fn count(tx: &Transaction<'_>, outbox: &PgOutbox, ids: [i32; 2]) -> Result<(), Failure> {
    outbox.enqueue(tx, &event()).await?;
    for id in ids {
        tx.execute("UPDATE counter SET n = n + 1 WHERE id = $1", &[&id]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn serialization_failures_and_deadlocks_are_run_again_and_every_event_is_there_once() {
    for (level, ids) in
        [(IsolationLevel::Serializable, [[1, 2], [1, 2]]), (IsolationLevel::ReadCommitted, [[1, 2], [2, 1]])]
    {
        let (env, outbox, client) = counters().await;
        client.batch_execute(&format!("ALTER DATABASE {} SET deadlock_timeout = '10ms'", env.name())).await.unwrap();

        let runs = Arc::new(AtomicU32::new(0));
        let mut services = tokio::task::JoinSet::new();

        for service in 0..4 {
            let (mut client, outbox, runs) = (env.client().await, outbox.clone(), Arc::clone(&runs));
            // Spawned, as a web framework does it: the future has to be Send.
            services.spawn(async move {
                let transaction = quick().isolation_level(level).attempts(1_000);
                for _ in 0..25 {
                    let (outbox, runs) = (&outbox, &runs);
                    let run = transaction.run(&mut client, |tx| {
                        Box::pin(async move {
                            runs.fetch_add(1, Ordering::Relaxed);
                            count(&tx, outbox, ids[service % 2]).await
                        })
                    });
                    run.await.unwrap();
                }
            });
        }

        services.join_all().await;
        assert_eq!(env.rows().await, 100);

        let n: i32 = client.query_one("SELECT n FROM counter WHERE id = 1", &[]).await.unwrap().get(0);
        assert_eq!(n, 100);
        assert!(runs.load(Ordering::Relaxed) >= 100);
    }
}

#[tokio::test]
async fn attempts_end_and_the_last_error_is_the_services_own() {
    let (env, outbox, mut client) = counters().await;
    let raise = "DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''40P01''; END'";
    let (mut runs, outbox) = (0, &outbox);
    let run = quick().attempts(3);
    let run = run.run(&mut client, |tx| {
        runs += 1;
        Box::pin(async move {
            outbox.enqueue(&tx, &event()).await?;
            tx.batch_execute(raise).await.map_err(Failure::from)
        })
    });
    let error = run.await.unwrap_err();
    assert!(matches!(error, TransactionError::Work(Failure::Counter(_))), "{error:?}");
    assert_eq!((runs, env.rows().await), (3, 0));

    let mut runs = 0;
    let run = quick();
    let run = run.run(&mut client, |tx| {
        runs += 1;
        Box::pin(async move { tx.batch_execute("SELECT 1/0").await.map_err(Failure::from) })
    });
    let error = run.await.unwrap_err();
    assert!(matches!(error, TransactionError::Work(_)) && runs == 1, "what would fail again is not run again");
}

#[tokio::test]
async fn a_commit_that_was_a_rollback_is_never_reported_as_one() {
    let (env, outbox, mut client) = counters().await;
    let (transaction, outbox, twice) = (quick(), &outbox, &event());
    let swallow = transaction.run(&mut client, |tx| {
        Box::pin(async move {
            outbox.enqueue(&tx, twice).await?;
            let _ = outbox.enqueue(&tx, twice).await;
            Ok::<_, Failure>(())
        })
    });
    let error = swallow.await.unwrap_err();
    assert!(matches!(error, TransactionError::Aborted(_)), "{error:?}");
    assert_eq!(env.rows().await, 0);

    let deferred = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN IF NEW.n = 1 THEN RAISE EXCEPTION USING ERRCODE = ''23514''; END IF; \
         PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'; \
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON counter DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()";
    client.batch_execute(deferred).await.unwrap();
    let mut errors = Vec::new();
    for n in 1..=3 {
        let update = transaction.run(&mut client, |tx| {
            Box::pin(async move {
                outbox.enqueue(&tx, &event()).await?;
                tx.execute("UPDATE counter SET n = $1 WHERE id = 1", &[&n]).await.map_err(Failure::from)
            })
        });
        errors.push(update.await.unwrap_err());
    }
    use TransactionError::{Begin, Commit, CommitUnknown};
    assert!(matches!(errors[..], [Commit(_), CommitUnknown(_), Begin(_)]), "{errors:?}");
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_is_a_rollback_for_certain() {
    let (env, outbox, mut client) = counters().await;
    let other = env.client().await;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let (transaction, outbox, terminator) = (quick(), &outbox, &other);
    let run = transaction.run(&mut client, |tx| {
        Box::pin(async move {
            outbox.enqueue(&tx, &event()).await?;
            terminator.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await?;
            Ok::<_, Failure>(())
        })
    });
    let error = run.await.unwrap_err();

    assert!(matches!(error, TransactionError::Lost(_)), "{error:?}");
    assert_eq!(env.rows().await, 0);
}

#[tokio::test]
async fn an_error_that_others_convert_to_is_looked_through_for_a_conflict_and_returned() {
    let (env, outbox, mut client) = counters().await;
    let (outbox, runs) = (&outbox, &AtomicU32::new(0));
    let transaction = quick();
    let run = transaction.run_dyn(&mut client, |tx| {
        Box::pin(async move {
            outbox.publish(&*tx, &Placed { order: 7 }).await?;
            if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                tx.batch_execute("DO $$BEGIN RAISE serialization_failure; END$$").await.map_err(Failure::from)?;
            }
            anyhow::Ok(())
        })
    });
    run.await.unwrap();
    assert_eq!((runs.load(Ordering::Relaxed), env.rows().await), (3, 1));

    let run = transaction.run_dyn(&mut client, |_| Box::pin(async { Err::<(), _>(anyhow::anyhow!("out of stock")) }));
    assert_eq!(run.await.unwrap_err().to_string(), "out of stock");
    let run = transaction.run_dyn(&mut client, |tx| {
        Box::pin(async move {
            let _ = tx.batch_execute("SELECT 1/0").await;
            anyhow::Ok(())
        })
    });
    let error = run.await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(TransactionError::<Infallible>::Aborted(_))), "{error:?}");

    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let run = transaction.run_dyn(&mut client, |_| Box::pin(async { Ok::<_, Boxed>(7) }));
    assert_eq!(run.await.unwrap(), 7);
}

#[tokio::test]
async fn a_savepoint_rolls_back_what_failed_and_the_transaction_continues() {
    let (env, outbox, mut client) = counters().await;
    let (transaction, outbox, twice) = (quick(), &outbox, &event());
    let run = transaction.run(&mut client, |tx| {
        Box::pin(async move {
            outbox.enqueue(&tx, twice).await?;
            let again = tx.savepoint(outbox.enqueue(&tx, twice)).await?;
            assert!(again.is_err());

            let nested = tx.savepoint(async {
                tx.execute("UPDATE counter SET n = 5 WHERE id = 1", &[]).await?;
                let inner = tx.savepoint(tx.execute("UPDATE counter SET n = 1/0 WHERE id = 2", &[])).await?;
                assert!(inner.is_err());
                Ok::<_, outbox_pg::tokio_postgres::Error>(())
            });
            nested.await??;
            Ok::<_, Failure>(())
        })
    });

    run.await.unwrap();
    assert_eq!(env.rows().await, 1);

    let n: Vec<i32> = client.query_one("SELECT array_agg(n ORDER BY id) FROM counter", &[]).await.unwrap().get(0);
    assert_eq!(n, [5, 0]);
}

#[derive(serde::Serialize, outbox_core::DomainEvent)]
#[event(aggregate_type = "order")]
struct Placed {
    #[event(aggregate_id)]
    order: u32,
}
