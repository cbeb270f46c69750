use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use deadpool_postgres::Pool;
use outbox_core::Pipeline;
use outbox_pg::{PgOutbox, PipelineMonitor, Thresholds};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::page::Live;
use crate::problem::Problem;
use crate::settings::PageAccess;
use crate::switches::Switches;
use crate::{health, metrics, openapi, orders, page, received, trace};

/// How long a request may take, from its head to the head of its answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The largest body of a request in bytes.
const BODY_LIMIT: usize = 64 << 10;

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

/// Returns the routes of the service. Every answer other than success is a problem document, except that of the health
/// indicators.
pub fn app(state: AppState) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(openapi::routes())
        .merge(orders::routes())
        .merge(received::routes())
        .merge(page::routes(state.page))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(metrics::measured))
        .layer(middleware::from_fn(trace::in_span))
        .with_state(state)
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nothing exists at this path")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not accept this method; see the header Allow")
}

/// Ends a request that waits for a database that does not answer.
async fn in_time(request: Request, next: Next) -> Response {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let expired = |e| if is_read { Problem::unavailable(e) } else { Problem::uncertain(e) };
    timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|e| expired(e).into_response())
}
