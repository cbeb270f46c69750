use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::inbox::{CheckOutcome, Inbox, Report, Task};
use crate::Lsn;
use crate::driver::catalog::Scope;
use crate::driver::publication;
use crate::status::RelayStatus;
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, PublicationCatalog, PublicationVersion, Published, SlotCounters, Source};

/// The task that holds back confirmations until the catalogs show that the publication left out no row before them.
pub struct Confirmation {
    /// The position before which everything is acknowledged.
    wanted: watch::Sender<Lsn>,
    confirmed: watch::Receiver<Lsn>,
    settle: Arc<Notify>,
    _task: Task,
}

/// The catalogs of a session, as they were at its start.
pub struct CheckedCatalog {
    pub options: ConnectOptions,
    pub source: Source,
    pub scope: Scope,
    pub catalog: PublicationCatalog,
    pub version: PublicationVersion,
    /// The reason why rows are left out in this version.
    pub problem: Option<String>,
    /// The reason why events are missing that the slot will never send. Everything else is confirmed.
    pub loss: Option<String>,
    /// The slot's statistics as of the last read.
    pub counters: watch::Sender<Option<SlotCounters>>,
}

impl Confirmation {
    pub fn start(catalog: CheckedCatalog, confirmed: Lsn, status: RelayStatus, inbox: &Inbox) -> Self {
        let (wanted, wanted_receiver) = watch::channel(confirmed);
        let (confirmed, confirmed_receiver) = watch::channel(confirmed);
        let settle = Arc::new(Notify::new());
        let checks = Checks::new(catalog, wanted_receiver, confirmed, status);
        let task = checks.run(Arc::clone(&settle), inbox.clone());
        Self { wanted, confirmed: confirmed_receiver, settle, _task: inbox.spawn(task) }
    }

    /// Returns the channel of confirmed positions.
    pub fn subscribe(&self) -> watch::Receiver<Lsn> {
        self.confirmed.clone()
    }

    /// Records a position before which everything is acknowledged.
    pub fn want(&self, lsn: Lsn) {
        raise(&self.wanted, lsn);
    }

    pub fn confirmed(&self) -> Lsn {
        *self.confirmed.borrow()
    }

    /// Confirms the remaining positions without a pause. [`CheckOutcome::Settled`] follows.
    pub fn settle(&self) {
        self.settle.notify_one();
    }

    /// Waits until everything that is acknowledged is confirmed.
    pub async fn caught_up(&mut self) {
        let wanted = *self.wanted.borrow();
        _ = self.confirmed.wait_for(|confirmed| *confirmed >= wanted).await;
    }
}

/// Raises a position, which never decreases.
fn raise(position: &watch::Sender<Lsn>, to: Lsn) {
    position.send_if_modified(|position| {
        let is_ahead = to > *position;
        *position = to.max(*position);
        is_ahead
    });
}

/// Checks the catalogs before positions are confirmed.
///
/// PostgreSQL sends nothing in place of a row that the publication leaves out. So a position is confirmed only if the
/// catalogs had the version of the start when they were read, and that after the position was received: a change whose
/// commit lies before the position would have been seen.
struct Checks {
    options: ConnectOptions,
    source: Source,
    scope: Scope,
    version: PublicationVersion,
    problem: Option<String>,
    loss: Option<String>,
    counters: watch::Sender<Option<SlotCounters>>,
    /// The connection; `None` after it was lost.
    catalog: Option<PublicationCatalog>,
    wanted: watch::Receiver<Lsn>,
    confirmed: watch::Sender<Lsn>,
    status: RelayStatus,
    last_check: Instant,
    /// The time at which tables were looked for last that the configuration includes.
    last_search: Instant,
    /// The time since which checks prove nothing.
    failing_since: Option<Instant>,
}

/// The result of a check of the catalogs.
enum Checked {
    Unchanged,
    /// A transaction that changes the version has not ended.
    Unsettled,
    Changed(Box<Published>),
}

/// The pause between two checks while there are positions to confirm. After a restart, records that were written in
/// this time must be searched for in Kafka.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause if checks fail.
const FAILING_PAUSE: Duration = Duration::from_secs(1);
/// The pause while there is nothing to confirm.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// The time within which transactions usually end and connections recover. Up to it, the relay stays ready.
const BRIEF: Duration = Duration::from_secs(1);

impl Checks {
    fn new(
        catalog: CheckedCatalog,
        wanted: watch::Receiver<Lsn>,
        confirmed: watch::Sender<Lsn>,
        status: RelayStatus,
    ) -> Self {
        let CheckedCatalog { options, source, scope, catalog, version, problem, loss, counters } = catalog;
        let now = Instant::now();
        Self {
            options,
            source,
            scope,
            version,
            problem,
            loss,
            counters,
            catalog: Some(catalog),
            wanted,
            confirmed,
            status,
            last_check: now,
            last_search: now,
            failing_since: None,
        }
    }

    /// Checks repeatedly, until a check ends the session.
    async fn run(mut self, settle: Arc<Notify>, inbox: Inbox) {
        loop {
            let verdict = tokio::select! {
                () = sleep_until(self.due()) => self.check().await,
                wanted = self.wanted.changed() => match wanted {
                    Ok(()) => None,
                    Err(_) => return,
                },
                () = settle.notified() => Some(self.settle().await),
            };
            let Some(verdict) = verdict else { continue };
            let is_end = !matches!(verdict, CheckOutcome::Settled);
            inbox.send(Report::Confirmation(verdict));

            if is_end {
                return;
            }
        }
    }

    async fn settle(&mut self) -> CheckOutcome {
        while self.has_more() && self.failing_since.is_none() {
            if let Some(verdict) = self.check().await {
                return verdict;
            }
        }
        CheckOutcome::Settled
    }

    fn has_more(&self) -> bool {
        *self.wanted.borrow() > *self.confirmed.borrow()
    }

    /// Returns when the next check is due.
    fn due(&self) -> Instant {
        let pause = match self.failing_since {
            Some(since) if since.elapsed() > BRIEF => FAILING_PAUSE,
            _ if self.has_more() => PAUSE,
            _ => IDLE_PAUSE,
        };
        self.last_check + pause
    }

    /// Checks the catalogs, and confirms the proven positions. Returns a verdict that ends the session.
    async fn check(&mut self) -> Option<CheckOutcome> {
        let wanted = *self.wanted.borrow_and_update();
        let checked = self.read().await;
        let now = Instant::now();
        self.last_check = now;

        let reason = match checked {
            Ok(Checked::Unchanged) => match &self.problem {
                Some(problem) => Ok(problem.clone()),
                None => {
                    self.failing_since = None;
                    raise(&self.confirmed, wanted);
                    match &self.loss {
                        Some(loss) => self.status.missing_events(loss),
                        None => self.status.confirming(),
                    }
                    return None;
                }
            },
            Ok(Checked::Changed(published)) => match publication::problem(&published, &self.scope) {
                Some(problem) => Ok(problem),
                None => return Some(CheckOutcome::Republished),
            },
            Ok(Checked::Unsettled) => {
                let publication = self.scope.pipeline.publication();
                Err(format!(
                    "a transaction that changes the publication {publication} or the outbox table has not ended"
                ))
            }
            Err(error) if error.is_not_accepting() => return Some(CheckOutcome::ShutDown(error)),
            Err(error) => Err(format!("the publication cannot be checked: {}", ErrorChain::new(&error))),
        };

        let since = *self.failing_since.get_or_insert(now);
        self.status.not_confirming(match reason {
            Ok(problem) => Some(problem),
            Err(passing) => (now.saturating_duration_since(since) >= BRIEF).then_some(passing),
        });
        None
    }

    /// Reads the catalogs. After an error the next read connects again.
    async fn read(&mut self) -> Result<Checked, outbox_wal::Error> {
        let mut catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => self.scope.open(&self.options, &self.source).await?,
        };
        if self.last_search.elapsed() > IDLE_PAUSE {
            self.last_search = Instant::now();
            self.scope.watch(&mut catalog).await?;
        }
        if self.has_more() {
            self.counters.send_replace(catalog.slot_counters(self.source.slot()).await?);
        }

        let mut settled = catalog.settled_version().await?;
        if settled.as_ref().is_some_and(|found| *found != self.version) {
            // A table may have been created or dropped.
            self.scope.watch(&mut catalog).await?;
            settled = catalog.settled_version().await?;
        }

        let checked = match settled {
            Some(found) if found == self.version => Checked::Unchanged,
            Some(_) => Checked::Changed(Box::new(catalog.published(self.source.slot()).await?)),
            None => Checked::Unsettled,
        };
        self.catalog = Some(catalog);
        Ok(checked)
    }
}
