use std::fmt;
use std::sync::Arc;

use deadpool_postgres::Pool;
use outbox_core::Pipeline;
use outbox_pg::{PgOutbox, PipelineMonitor, Thresholds};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::settings::PageAccess;
use crate::switches::Switches;

/// The parts of the service that the routes share.
#[derive(Clone)]
pub struct AppState {
    pub(crate) pool: Pool,
    pub(crate) pipeline: Pipeline,
    pub(crate) outbox: PgOutbox,
    pub(crate) monitor: Arc<Mutex<PipelineMonitor>>,
    pub(crate) group: String,
    pub(crate) page: PageAccess,
    pub(crate) live: Live,
    pub(crate) switches: Option<Switches>,
    pub(crate) relay_metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    pub(crate) stop: CancellationToken,
}

impl AppState {
    /// Creates the state of a service without a page, whose orders and events go to the database of the pool, events in the
    /// form of the pipeline.
    #[must_use]
    pub fn new(pool: Pool, pipeline: Pipeline) -> Self {
        let monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default());
        Self {
            pool,
            outbox: PgOutbox::new(pipeline.clone()),
            pipeline,
            monitor: Arc::new(Mutex::new(monitor)),
            group: String::new(),
            page: PageAccess::Off,
            live: Live::default(),
            switches: None,
            relay_metrics: None,
            stop: CancellationToken::new(),
        }
    }

    /// Adds the page at `/`, which also shows the lag and the dead letters of the consumer group.
    #[must_use]
    pub fn page(self, page: PageAccess, group: &str) -> Self {
        Self { page, group: group.to_owned(), ..self }
    }

    /// Lets the page turn the switches of a demonstration, and adds the relay's metrics to `/metrics`.
    #[must_use]
    pub fn demo(self, switches: Switches, relay_metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { switches: Some(switches), relay_metrics: Some(Arc::new(relay_metrics)), ..self }
    }

    /// Ends the streams of the page when the token is cancelled, and makes `/ready` fail from then on.
    #[must_use]
    pub fn stop(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("page", &self.page).field("group", &self.group).finish_non_exhaustive()
    }
}
