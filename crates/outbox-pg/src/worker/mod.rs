mod pool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::Pipeline;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::pool::{Connection, Pool};
use crate::{Error, Maintenance, MaintenanceOutcome, PipelineHealth, PipelineMonitor, Thresholds};

/// The background task of a service with an outbox: it runs [`Maintenance`], which keeps the table bounded, and
/// [`PipelineMonitor`], which reports problems that keep events from being published.
///
/// Run it in every instance: a lease lets one of them work at a time. It needs a pool of sessions of PostgreSQL (not
/// through PgBouncer in transaction mode), of which it uses one connection at a time, with the privileges of the role
/// of [`maintainer_role_sql`](crate::maintainer_role_sql) and `pg_monitor`.
///
/// ```no_run
/// # use std::time::Duration;
/// # use outbox_core::Pipeline;
/// # use outbox_pg::{OutboxWorker, deadpool_postgres::Pool};
/// # async fn example(pool: Pool, pipeline: Pipeline) -> Result<(), outbox_pg::Error> {
/// const DAYS: Duration = Duration::from_secs(24 * 60 * 60);
///
/// let worker = OutboxWorker::builder(pool, pipeline).retention(7 * DAYS).spawn();
/// // … the service runs, and serves `worker.status()` as its health …
/// worker.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// A dropped worker stops after its present step.
#[derive(Debug)]
pub struct OutboxWorker {
    stop: watch::Sender<()>,
    status: watch::Receiver<WorkerStatus>,
    task: JoinHandle<()>,
}

/// The settings of an [`OutboxWorker`]; made by [`OutboxWorker::builder`].
#[must_use = "nothing runs before spawn()"]
pub struct WorkerBuilder {
    pool: Pool,
    pipeline: Pipeline,
    maintenance: Maintenance,
    thresholds: Thresholds,
    maintain_every: Duration,
    check_every: Duration,
    on_error: Box<dyn Fn(&Error) + Send + Sync>,
}

/// The latest findings of an [`OutboxWorker`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The indicators that the last check that succeeded found, if there was one.
    pub health: Option<Arc<PipelineHealth>>,
    /// The error of the last check, unless it succeeded; `health` is then that of an earlier one.
    pub check_failure: Option<Arc<Error>>,
    /// The outcome of the last run of maintenance that succeeded, if there was one.
    pub maintained: Option<Arc<MaintenanceOutcome>>,
    /// The error of the last run of maintenance, unless it succeeded.
    pub maintenance_failure: Option<Arc<Error>>,
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl OutboxWorker {
    /// Starts a worker that keeps rows for a week, runs maintenance every 5 minutes, and checks the pipeline every 30
    /// s.
    #[cfg(feature = "deadpool")]
    pub fn builder(pool: deadpool_postgres::Pool, pipeline: Pipeline) -> WorkerBuilder {
        WorkerBuilder::new(Pool::Deadpool(pool), pipeline)
    }

    /// Starts the worker of [`builder`](Self::builder) on a pool of sqlx.
    #[cfg(feature = "sqlx")]
    pub fn sqlx_builder(pool: ::sqlx::PgPool, pipeline: Pipeline) -> WorkerBuilder {
        WorkerBuilder::new(Pool::Sqlx(pool), pipeline)
    }

    /// Returns the latest findings.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.status.borrow().clone()
    }

    /// Returns a receiver that sees each change of the status.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<WorkerStatus> {
        self.status.clone()
    }

    /// Stops the worker, and waits for the end of its present step: a few statements, each with a timeout.
    pub async fn stop(self) {
        drop(self.stop);
        // The task panics only if the service's function does, which the panic hook reports.
        _ = self.task.await;
    }
}

impl WorkerBuilder {
    fn new(pool: Pool, pipeline: Pipeline) -> Self {
        Self {
            maintenance: Maintenance::new(pipeline.clone(), WEEK),
            pool,
            pipeline,
            thresholds: Thresholds::default(),
            maintain_every: Duration::from_secs(300),
            check_every: Duration::from_secs(30),
            on_error: Box::new(|_| {}),
        }
    }

    /// Sets how long rows, or ids, are kept at least; a week unless set. It replaces
    /// [`maintenance`](Self::maintenance).
    pub fn retention(self, retention: Duration) -> Self {
        let maintenance = Maintenance::new(self.pipeline.clone(), retention);
        Self { maintenance, ..self }
    }

    /// Sets the maintenance with all of its settings.
    pub fn maintenance(self, maintenance: Maintenance) -> Self {
        Self { maintenance, ..self }
    }

    /// Sets the thresholds of problems.
    pub fn thresholds(self, thresholds: Thresholds) -> Self {
        Self { thresholds, ..self }
    }

    /// Sets the time between two runs of maintenance; 5 minutes unless set.
    pub fn maintain_every(self, interval: Duration) -> Self {
        Self { maintain_every: interval, ..self }
    }

    /// Sets the time between two checks; 30 s unless set.
    pub fn check_every(self, interval: Duration) -> Self {
        Self { check_every: interval, ..self }
    }

    /// Sets a function to call with each error, such as for the log. The worker continues after any.
    pub fn on_error(self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        Self { on_error: Box::new(report), ..self }
    }

    /// Starts the task, on the runtime of the caller.
    pub fn spawn(self) -> OutboxWorker {
        let (stop, stopped) = watch::channel(());
        let (publish, status) = watch::channel(WorkerStatus::default());
        OutboxWorker { stop, status, task: tokio::spawn(self.run(publish, stopped)) }
    }

    /// Runs maintenance and checks at their intervals, until the worker is stopped.
    async fn run(self, publish: watch::Sender<WorkerStatus>, mut stopped: watch::Receiver<()>) {
        let mut monitor = PipelineMonitor::new(self.pipeline.clone(), self.thresholds.clone());
        let (mut next_run, mut next_check) = (Instant::now(), Instant::now());

        loop {
            if next_run <= Instant::now() {
                let Some(client) = self.connection(&mut stopped).await else { return };
                let result = match client {
                    Ok(mut client) => self.maintenance.run_on(&client.session()).await,
                    Err(error) => Err(error),
                };
                let (maintained, failure) = self.reported(result);
                publish.send_modify(|status| {
                    status.maintained = maintained.or(status.maintained.take());
                    status.maintenance_failure = failure;
                });
                next_run = Instant::now() + self.maintain_every;
            }
            if next_check <= Instant::now() {
                let Some(client) = self.connection(&mut stopped).await else { return };
                let result = match client {
                    Ok(mut client) => monitor.check_on(&client.session()).await,
                    Err(error) => Err(error),
                };
                let (health, failure) = self.reported(result);
                publish.send_modify(|status| {
                    status.health = health.or(status.health.take());
                    status.check_failure = failure;
                });
                next_check = Instant::now() + self.check_every;
            }
            if timeout_at(next_run.min(next_check), stopped.changed()).await.is_ok() {
                return;
            }
        }
    }

    /// Waits for a connection of the pool, for which there may be no timeout; `None` if the worker is stopped
    /// meanwhile.
    async fn connection(&self, stopped: &mut watch::Receiver<()>) -> Option<Result<Connection, Error>> {
        tokio::select! {
            biased;
            client = self.pool.get() => Some(client),
            _ = stopped.changed() => None,
        }
    }

    /// Splits a result for the status, and reports its error.
    fn reported<T>(&self, result: Result<T, Error>) -> (Option<Arc<T>>, Option<Arc<Error>>) {
        match result {
            Ok(found) => (Some(Arc::new(found)), None),
            Err(error) => {
                (self.on_error)(&error);
                (None, Some(Arc::new(error)))
            }
        }
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("maintenance", &self.maintenance)
            .field("thresholds", &self.thresholds)
            .field("maintain_every", &self.maintain_every)
            .field("check_every", &self.check_every)
            .finish_non_exhaustive()
    }
}
