use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, PublicationCatalog, PublicationVersion, Published, Source};
use tokio::time::Instant;

use super::job::Done;
use super::publication;
use super::scope::Scope;
use crate::Lsn;

/// Holds back confirmations until the catalogs show that the publication left out no row before them.
///
/// PostgreSQL sends nothing in place of a row that the publication leaves out. So a position is confirmed only if the
/// catalogs had the version of the start when they were read, and that after the position was received: a change whose
/// commit lies before the position would have been seen.
pub(super) struct Confirmation {
    options: ConnectOptions,
    source: Source,
    scope: Scope,
    version: PublicationVersion,
    /// Why rows are left out in this version.
    problem: Option<String>,
    /// The connection, unless a check uses it or it is lost.
    catalog: Option<PublicationCatalog>,
    /// Everything before this position is acknowledged.
    wanted: Lsn,
    confirmed: Lsn,
    /// What the running check proves.
    checking: Option<Lsn>,
    last_check: Instant,
    /// When tables were looked for last that the configuration includes.
    last_search: Instant,
    /// Since when checks prove nothing.
    failing_since: Option<Instant>,
}

/// What a check of the catalogs has shown.
pub(super) enum Checked {
    Unchanged,
    /// A transaction that changes the version has not ended.
    Unsettled,
    Changed(Box<Published>),
}

/// What follows from a check.
pub(super) enum Verdict {
    Confirm(Lsn),
    /// Nothing can be confirmed, with the reason if this is not just for a moment.
    Wait(Option<String>),
    /// The publication has changed, and publishes all rows from now on.
    Republished,
    /// The server shuts down, and waits for the rest to be confirmed: give back the slot.
    ShutDown(outbox_wal::Error),
}

/// The pause between two checks while there is something to confirm: what a restart has to look for in Kafka is what was
/// written in this time.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause if checks fail.
const FAILING_PAUSE: Duration = Duration::from_secs(1);
/// The pause while there is nothing to confirm.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// Transactions end and connections break within this time, which is no reason to be not ready.
const BRIEF: Duration = Duration::from_secs(1);

impl Confirmation {
    pub(super) fn new(
        options: ConnectOptions,
        source: Source,
        scope: Scope,
        version: PublicationVersion,
        problem: Option<String>,
        catalog: PublicationCatalog,
        confirmed: Lsn,
    ) -> Self {
        Self {
            options,
            source,
            scope,
            version,
            problem,
            catalog: Some(catalog),
            wanted: confirmed,
            confirmed,
            checking: None,
            last_check: Instant::now(),
            last_search: Instant::now(),
            failing_since: None,
        }
    }

    /// Takes a position before which everything is acknowledged.
    pub(super) fn want(&mut self, lsn: Lsn) {
        self.wanted = self.wanted.max(lsn);
    }

    pub(super) fn confirmed(&self) -> Lsn {
        self.confirmed
    }

    /// Returns whether nothing more can be confirmed at present.
    pub(super) fn is_settled(&self) -> bool {
        self.checking.is_none() && (self.wanted <= self.confirmed || self.failing_since.is_some())
    }

    /// Returns when the next check is due; none while one runs.
    pub(super) fn due(&self) -> Option<Instant> {
        let pause = match (self.wanted > self.confirmed, self.failing_since) {
            (_, Some(since)) if since.elapsed() > BRIEF => FAILING_PAUSE,
            (true, _) => PAUSE,
            (false, _) => IDLE_PAUSE,
        };
        self.checking.is_none().then(|| self.last_check + pause)
    }

    /// Returns a check, if one is due.
    pub(super) fn check_if_due(&mut self) -> Option<BoxFuture<'static, Done>> {
        self.due().filter(|due| *due <= Instant::now()).map(|_| self.check())
    }

    /// Returns a check without a pause, if there is something to confirm.
    pub(super) fn check_at_once(&mut self) -> Option<BoxFuture<'static, Done>> {
        (self.checking.is_none() && !self.is_settled()).then(|| self.check())
    }

    fn check(&mut self) -> BoxFuture<'static, Done> {
        self.checking = Some(self.wanted);
        let (options, source, version) = (self.options.clone(), self.source.clone(), self.version.clone());
        let (catalog, scope) = (self.catalog.take(), self.scope.clone());
        let is_due = self.last_search.elapsed() > IDLE_PAUSE;
        if is_due {
            self.last_search = Instant::now();
        }
        let check = async move {
            let mut catalog = match catalog {
                Some(catalog) => catalog,
                None => scope.open(&options, &source).await?,
            };
            if is_due {
                scope.watch(&mut catalog).await?;
            }
            let mut settled = catalog.settled_version().await?;
            if settled.as_ref().is_some_and(|found| *found != version) {
                // A table may have come or gone.
                scope.watch(&mut catalog).await?;
                settled = catalog.settled_version().await?;
            }
            let checked = match settled {
                Some(found) if found == version => Checked::Unchanged,
                Some(_) => Checked::Changed(Box::new(catalog.published(source.slot()).await?)),
                None => Checked::Unsettled,
            };
            Ok((catalog, checked))
        };
        check.map(Done::PublicationChecked).boxed()
    }

    /// Takes the result of a check.
    pub(super) fn checked(&mut self, result: Result<(PublicationCatalog, Checked), outbox_wal::Error>) -> Verdict {
        let now = Instant::now();
        self.last_check = now;
        let proved = self.checking.take().unwrap_or_default();

        let reason = match result {
            Ok((catalog, checked)) => {
                self.catalog = Some(catalog);
                match checked {
                    Checked::Unchanged if self.problem.is_some() => Ok(self.problem.clone().unwrap_or_default()),
                    Checked::Unchanged => {
                        self.confirmed = proved.max(self.confirmed);
                        self.failing_since = None;
                        return Verdict::Confirm(self.confirmed);
                    }
                    Checked::Unsettled => {
                        let publication = &self.scope.publication;
                        Err(format!(
                            "a transaction that changes the publication {publication} or the outbox table has not ended"
                        ))
                    }
                    Checked::Changed(published) => match publication::problem(&published, &self.scope) {
                        Some(problem) => Ok(problem),
                        None => return Verdict::Republished,
                    },
                }
            }
            Err(error) if error.is_not_accepting() => return Verdict::ShutDown(error),
            Err(error) => Err(format!("the publication cannot be checked: {}", ErrorChain::new(&error))),
        };

        let since = *self.failing_since.get_or_insert(now);
        Verdict::Wait(match reason {
            Ok(problem) => Some(problem),
            Err(passing) => (now.saturating_duration_since(since) >= BRIEF).then_some(passing),
        })
    }
}
