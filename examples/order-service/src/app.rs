use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::AppState;
use crate::{health, metrics, openapi, orders, page, received, trace};

/// The time that a request may take, from its head to the head of its answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The largest body of a request in bytes.
const BODY_LIMIT: usize = 64 << 10;

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
