use std::error::Error;
use std::time::Duration;

use deadpool_postgres::Pool;
use metrics::counter;
use outbox_core::Pipeline;
use outbox_net::ErrorChain;
use outbox_pg::{Maintained, Maintenance};
use tokio::time::{MissedTickBehavior, interval};

/// How long the rows of the outbox and of the received events are kept. A key of a request is known as long.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const PERIOD: Duration = Duration::from_secs(300);

/// Keeps the tables bounded, every five minutes. Any number of instances may run it: one of them works at a time.
///
/// A run that fails is logged and counted, and the next one does its work.
pub(crate) async fn maintain(pool: Pool, pipeline: Pipeline) {
    let maintenance = Maintenance::new(pipeline, RETENTION);
    let mut due = interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let outcome = match run(&pool, &maintenance).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(error = %ErrorChain::new(&*error), "maintenance failed");
                "failed"
            }
        };
        counter!("order_service_maintenance_runs_total", "outcome" => outcome).increment(1);
    }
}

async fn run(pool: &Pool, maintenance: &Maintenance) -> Result<&'static str, Box<dyn Error + Send + Sync>> {
    let client = pool.get().await?;
    let Maintained::Done(report) = maintenance.run(&client).await? else { return Ok("held by another instance") };
    let sql = "DELETE FROM order_service.received_event WHERE handled_at < now() - make_interval(secs => $1)";
    let received = client.execute(sql, &[&RETENTION.as_secs_f64()]).await?;
    tracing::info!(outbox_rows = report.deleted_rows, received_rows = received, "tables maintained");
    for waiting in &report.waiting {
        tracing::warn!(reason = %waiting, "rows are kept beyond their retention");
    }
    Ok("done")
}
