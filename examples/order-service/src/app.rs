use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use deadpool_postgres::Pool;
use outbox_core::Pipeline;
use outbox_pg::{PgOutbox, PipeMonitor, Thresholds};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::problem::Problem;
use crate::{orders, pipe, received};

/// How long a request may take, from its head to the head of its answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// The state that the routes share.
#[derive(Clone, Debug)]
pub struct AppState {
    pub(crate) pool: Pool,
    pub(crate) outbox: PgOutbox,
    pub(crate) monitor: Arc<Mutex<PipeMonitor>>,
}

impl AppState {
    /// Orders and events go to the database of the pool, events in the form of the pipeline.
    #[must_use]
    pub fn new(pool: Pool, pipeline: Pipeline) -> Self {
        let monitor = PipeMonitor::new(pipeline.clone(), Thresholds::default());
        Self { pool, outbox: PgOutbox::new(pipeline), monitor: Arc::new(Mutex::new(monitor)) }
    }
}

/// Returns the service's routes. Every answer other than success is a problem document, but that of a pipe that is
/// unwell.
pub fn app(state: AppState) -> Router {
    Router::new()
        .route("/health", get(health))
        .merge(orders::routes())
        .merge(pipe::routes())
        .merge(received::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(in_span))
        .with_state(state)
}

/// Answers a supervisor: the process lives, whatever its database does.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method; Allow lists those that it takes")
}

/// Bounds the time of a request. A stopped database would hold requests indefinitely.
async fn in_time(request: Request, next: Next) -> Response {
    timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|e| Problem::uncertain(e).into_response())
}

/// Gives what is logged for a request its method and path.
async fn in_span(request: Request, next: Next) -> Response {
    let span = tracing::info_span!("request", method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}
