use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Pool, PoolError};
use metrics::counter;
use outbox_core::Pipeline;
use outbox_net::ErrorChain;
use outbox_pg::{Error, MaintenanceOutcome, MaintenanceReport, OutboxWorker, PipelineHealth, WorkerStatus};
use tokio_util::sync::CancellationToken;

use crate::database::below;
use crate::health::name;

/// The time that the rows of the outbox and of the received events are kept. A key of a request is known as long.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Keeps the tables bounded and watches the way of the events, until the token is cancelled.
///
/// Any number of instances may run it: one of them works at a time. A run that fails is logged and counted, and the next
/// one does its work. The instance that has maintained the outbox also deletes old rows of this service's own table.
pub(crate) async fn maintain(pool: Pool, pipeline: Pipeline, stop: CancellationToken) {
    let worker = OutboxWorker::builder(pool.clone(), pipeline).retention(RETENTION).spawn();
    let mut statuses = worker.subscribe();
    let mut seen = WorkerStatus::default();

    while let Some(Ok(())) = stop.run_until_cancelled(statuses.changed()).await {
        let status = statuses.borrow_and_update().clone();

        let failure = newer(seen.maintenance_failure.as_ref(), status.maintenance_failure.as_ref());
        if let Some(error) = failure {
            count("failed");
            warn("maintenance failed", error);
        } else if let Some(maintained) = newer(seen.maintained.as_ref(), status.maintained.as_ref()) {
            count(finish(&pool, maintained).await);
        }

        if let Some(error) = newer(seen.check_failure.as_ref(), status.check_failure.as_ref()) {
            warn("health indicators cannot be read", error);
        }
        log_status(seen.health.as_deref(), status.health.as_deref());
        seen = status;
    }
    worker.stop().await;
}

/// Returns the value, unless it is the one that was seen.
fn newer<'a, T>(seen: Option<&Arc<T>>, value: Option<&'a Arc<T>>) -> Option<&'a T> {
    value.filter(|value| seen.is_none_or(|seen| !Arc::ptr_eq(seen, value))).map(AsRef::as_ref)
}

/// Completes a run of the outbox's maintenance, and returns its outcome.
async fn finish(pool: &Pool, maintained: &MaintenanceOutcome) -> &'static str {
    let MaintenanceOutcome::Done(report) = maintained else { return "held by another instance" };
    match delete_received(pool).await {
        Ok(received) => {
            log_report(report, received);
            "done"
        }
        Err(error) => {
            let error = below(error);
            tracing::warn!(error = %ErrorChain::new(error.as_ref()), "maintenance failed");
            "failed"
        }
    }
}

async fn delete_received(pool: &Pool) -> Result<u64, PoolError> {
    let client = pool.get().await?;
    let sql = "DELETE FROM order_service.received_event WHERE handled_at < now() - make_interval(secs => $1)";
    Ok(client.execute(sql, &[&RETENTION.as_secs_f64()]).await?)
}

fn count(outcome: &'static str) {
    counter!("order_service_maintenance_runs_total", "outcome" => outcome).increment(1);
}

fn warn(message: &str, error: &Error) {
    tracing::warn!(error = %ErrorChain::new(error), "{message}");
}

fn log_report(report: &MaintenanceReport, received: u64) {
    tracing::info!(outbox_rows = report.deleted_rows, received_rows = received, "tables maintained");
    for waiting in &report.waiting {
        tracing::warn!(reason = %waiting, "rows are kept beyond their retention");
    }
}

/// Logs a status that is not the one of before, with the indicators that explain it.
fn log_status(before: Option<&PipelineHealth>, now: Option<&PipelineHealth>) {
    let Some(now) = now else { return };
    let status = now.status();
    if before.is_some_and(|before| before.status() == status) {
        return;
    }

    let indicators: Vec<_> = now
        .indicators()
        .iter()
        .filter(|indicator| indicator.status == status)
        .map(|indicator| indicator.name)
        .collect();
    match name(status) {
        "good" => tracing::info!("pipeline is healthy"),
        "critical" => tracing::error!(?indicators, "pipeline is critical: see /health/pipeline"),
        status => tracing::info!(status, ?indicators, "pipeline needs attention: see /health/pipeline"),
    }
}
