use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use outbox_pg::{Measure, PipeHealth, Sign, Verdict};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::app::AppState;
use crate::problem::Problem;

type Gauges = Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Reports how the way of the events to Kafka is, for those who run the service.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/health/pipe", get(health)).route("/metrics", get(metrics))
}

/// Answers 503 if events do not move, or soon will not, or may be lost. A service that still takes orders must not be
/// restarted for that: `/health` is for its supervisor.
async fn health(State(state): State<AppState>) -> Result<Response, Problem> {
    let health = look(&state).await?;
    let status = match health.verdict() {
        Verdict::Critical => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let signs: Vec<_> = health.signs().iter().map(sign).collect();
    Ok((status, Json(json!({ "verdict": name(health.verdict()), "signs": signs }))).into_response())
}

/// Returns for Prometheus the value of each sign that is a number, and the verdict of each.
async fn metrics(State(state): State<AppState>) -> Result<Response, Problem> {
    let health = look(&state).await?;
    let (values, verdicts) = (Gauges::default(), Gauges::default());
    for sign in health.signs() {
        let label = [("sign", sign.name)];
        if let Some(value) = sign.value.gauge() {
            values.get_or_create(&label).set(value);
        }
        // Several problems of the readiness have one name.
        let worst = verdicts.get_or_create(&label);
        worst.set(worst.get().max(level(sign.verdict)));
    }
    let mut registry = Registry::default();
    registry.register("outbox_pipe", "What was found: bytes, seconds, 0 or 1", values);
    registry.register("outbox_pipe_verdict", "0 good, 1 warning, 2 critical", verdicts);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// Takes one look at a time: those who wait for it hold no connection.
async fn look(state: &AppState) -> Result<PipeHealth, Problem> {
    let mut monitor = state.monitor.lock().await;
    let client = state.pool.get().await?;
    Ok(monitor.check(&client).await?)
}

fn sign(sign: &Sign) -> Value {
    json!({
        "name": sign.name,
        "value": value(&sign.value),
        "threshold": sign.threshold.as_ref().map(value),
        "verdict": name(sign.verdict),
        "remedy": sign.remedy,
        "advice": sign.advice,
    })
}

/// Converts a value; bytes and seconds are numbers.
fn value(measure: &Measure) -> Value {
    match measure {
        Measure::Unknown => Value::Null,
        Measure::Bool(value) => json!(value),
        Measure::Bytes(bytes) => json!(bytes),
        Measure::Span(span) => json!(span.as_secs_f64()),
        other => json!(other.to_string()),
    }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Unknown => "unknown",
        Verdict::Warning => "warning",
        _ => "critical",
    }
}

fn level(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Good => 0.0,
        Verdict::Unknown => 0.5,
        Verdict::Warning => 1.0,
        _ => 2.0,
    }
}
