use std::collections::HashMap;
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, Pool, Transaction};
use futures_util::stream::{StreamExt as _, poll_fn};
use outbox_core::{Identifier, Pipeline, TableLayout};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received, migrations};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::events::OrderPlaced;
use crate::load::{Load, Rate};
use crate::percentile::percentile;
use crate::relay::{Engine, Kind, Setting};
use crate::run_env::{RunEnv, Shape};
use crate::{Failure, Outcome};

const RATE: Rate = Rate { rows_per_second: 200, writers: 1 };
const PRIMERS: u64 = 10;
const WARM_UP: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// Times from the return of COMMIT in the writer until a listener learns of the effect's commit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Arrival {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    max_ms: Option<f64>,
    rows: usize,
}

pub(super) async fn measure(setting: &Setting, seconds: u32) -> Outcome<Arrival> {
    let env = RunEnv::create(setting.partitions).await?;
    let pool = Pool::builder(Manager::new(env.url().parse()?, NoTls)).max_size(24).build()?;
    migrations(&Identifier::new("outbox")?).apply(&mut env.client().await).await?;
    let (listener, mut started) = listen(&env).await?;
    let (mut engine, _) = Engine::start(Kind::Relay, setting, &env)?;
    let consumer = Consumer::builder([setting.stack.kafka_bootstrap()])
        .pipeline(Pipeline::new(env.config().clone(), TableLayout::recommended())?)
        .group("bench")
        .pool(pool)
        .on(notify)
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(consumer.run(async { _ = stopped.await }));

    env.fill(Shape::Transactions(1), 0..PRIMERS).await?;
    let mut arrivals = HashMap::new();
    engine.judged(collect(&mut started, &mut arrivals, PRIMERS).await)?;
    let measured = PRIMERS + u64::from(RATE.rows_per_second * WARM_UP);
    let end = measured + u64::from(RATE.rows_per_second * seconds);
    let commits = Load::start(&env, RATE, PRIMERS..end).await?.finish().await?;
    engine.judged(collect(&mut started, &mut arrivals, end).await)?;
    _ = stop.send(());
    running.await??;
    engine.stop()?;
    drop(listener);

    let counted = commits.into_iter().filter(|(number, _)| *number >= measured);
    let times: Vec<f64> = counted
        .filter_map(|(number, committed)| Some(arrivals.get(&number)?.saturating_duration_since(committed)))
        .map(|time| time.as_secs_f64() * 1_000.0)
        .collect();
    let of = |percent| percentile(&times, percent);
    Ok(Arrival { p50_ms: of(50.0), p99_ms: of(99.0), max_ms: of(100.0), rows: times.len() })
}

/// Returns each effect's number, and when its commit was reported, for as long as the client is kept.
async fn listen(env: &RunEnv) -> Outcome<(Client, mpsc::UnboundedReceiver<(u64, Instant)>)> {
    let (client, mut connection) = tokio_postgres::connect(env.url(), NoTls).await?;
    let (sender, started) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message
                && let Ok(number) = notification.payload().parse()
                && sender.send((number, Instant::now())).is_err()
            {
                break;
            }
        }
    });

    client.batch_execute("LISTEN effect").await?;
    Ok((client, started))
}

async fn collect(
    started: &mut mpsc::UnboundedReceiver<(u64, Instant)>,
    arrivals: &mut HashMap<u64, Instant>,
    count: u64,
) -> Outcome<()> {
    while (arrivals.len() as u64) < count {
        let next = timeout(PATIENCE, started.recv()).await;
        let Ok(Some((number, at))) = next else {
            return Err(Failure::from(format!("{} effects of {count} came", arrivals.len())));
        };
        if arrivals.insert(number, at).is_some() {
            return Err(Failure::from(format!("the effect of number {number} came twice")));
        }
    }
    Ok(())
}

async fn notify(tx: &Transaction<'_>, event: Received<OrderPlaced>) -> HandlerResult {
    let notify = tx.prepare_cached("SELECT pg_notify('effect', $1)").await?;
    tx.execute(&notify, &[&event.event().n.to_string()]).await?;
    Ok(())
}
