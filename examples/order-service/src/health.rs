use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use outbox_pg::{Indicator, IndicatorStatus, Measure, PipelineHealth};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::state::AppState;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/health/pipeline", get(pipeline))
}

/// Answers a supervisor: the process lives, whatever its database does.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Answers a load balancer: 200 if requests can be served, 503 without a database and while the service stops.
async fn ready(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    if state.stop.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping"));
    }
    state.pool.get().await?.query_one("SELECT 1", &[]).await?;
    Ok(Json(json!({ "status": "ready" })))
}

/// Answers operators with the health indicators of the events' way to Kafka.
///
/// The status is 503 if events do not move, or soon will not, or may be lost. Nothing must restart a service for that, because
/// it can still take orders: `/health` is for its supervisor.
async fn pipeline(State(state): State<AppState>) -> Result<Response, Problem> {
    let health = look(&state).await?;
    let status = match health.status() {
        IndicatorStatus::Critical => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let indicators: Vec<_> = health.indicators().iter().map(indicator).collect();
    Ok((status, Json(json!({ "status": name(health.status()), "indicators": indicators }))).into_response())
}

/// Checks the health indicators, for one caller at a time: those who wait hold no connection.
pub(crate) async fn look(state: &AppState) -> Result<PipelineHealth, Problem> {
    let mut monitor = state.monitor.lock().await;
    let client = state.pool.get().await?;
    Ok(monitor.check(&client).await?)
}

fn indicator(indicator: &Indicator) -> Value {
    json!({
        "name": indicator.name,
        "value": value(&indicator.value),
        "threshold": indicator.threshold.as_ref().map(value),
        "status": name(indicator.status),
        "remedy": indicator.remedy,
        "advice": indicator.advice,
    })
}

/// Returns bytes and seconds as numbers.
fn value(measure: &Measure) -> Value {
    match measure {
        Measure::Unknown => Value::Null,
        Measure::Bool(value) => json!(value),
        Measure::Bytes(bytes) => json!(bytes),
        Measure::Span(span) => json!(span.as_secs_f64()),
        other => json!(other.to_string()),
    }
}

pub(crate) fn name(status: IndicatorStatus) -> &'static str {
    match status {
        IndicatorStatus::Good => "good",
        IndicatorStatus::Unknown => "unknown",
        IndicatorStatus::Warning => "warning",
        _ => "critical",
    }
}

pub(crate) fn level(status: IndicatorStatus) -> f64 {
    match status {
        IndicatorStatus::Good => 0.0,
        IndicatorStatus::Unknown => 0.5,
        IndicatorStatus::Warning => 1.0,
        _ => 2.0,
    }
}
