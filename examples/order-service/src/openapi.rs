use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::state::AppState;

/// The description of the interface. A test compares it with the answers.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)))
}
