//! One `/metrics` for the service, the consumer and, in a demonstration, the relay.

mod recorder;

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{counter, describe_counter, describe_histogram, histogram};
use outbox_pg::PipelineHealth;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::recorder::Recorder;
use crate::health::{level, look};
use crate::problem::Problem;
use crate::state::AppState;

/// The recorder of this process, to which the consumer and the service write by the facade `metrics`.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The last line of a text in the OpenMetrics format.
const END: &str = "# EOF\n";

/// Installs the recorder, once for the process. A recorder that another part of the program has installed stays.
pub(crate) fn install() {
    let recorder = Recorder::default();
    if metrics::set_global_recorder(recorder.clone()).is_ok() {
        _ = RECORDER.set(recorder);
    }
    describe_counter!("order_service_http_requests_total", "HTTP requests, by method, route and status");
    describe_histogram!("order_service_http_request_seconds", "Time until the head of an answer, by method and route");
}

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/metrics", get(scrape))
}

/// Answers Prometheus. Without a database the health indicators are missing, and the rest is not.
async fn scrape(State(state): State<AppState>) -> Result<Response, Problem> {
    let mut texts = vec![pipeline(look(&state).await.ok().as_ref())?];
    if let Some(recorder) = RECORDER.get() {
        texts.push(recorder.text().map_err(Problem::internal)?);
    }
    if let Some(relay) = &state.relay_metrics {
        texts.push(relay());
    }
    let mut text: String = texts.iter().map(|text| text.strip_suffix(END).unwrap_or(text)).collect();
    text.push_str(END);
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// Returns the health indicators: the value of each that is a number, and the status of each.
fn pipeline(health: Option<&PipelineHealth>) -> Result<String, Problem> {
    type Gauges = Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>;
    let (up, values, statuses) = (Gauge::<i64>::default(), Gauges::default(), Gauges::default());
    up.set(i64::from(health.is_some()));
    for indicator in health.map(PipelineHealth::indicators).unwrap_or_default() {
        let label = [("indicator", indicator.name)];
        if let Some(value) = indicator.value.gauge() {
            values.get_or_create(&label).set(value);
        }
        // Several problems of the readiness have one name.
        let worst = statuses.get_or_create(&label);
        worst.set(worst.get().max(level(indicator.status)));
    }

    let mut registry = Registry::default();
    registry.register("order_service_database_up", "Whether the database answers", up);
    registry.register("outbox_pipeline", "Health indicators: bytes, seconds, 0 or 1", values);
    registry.register("outbox_pipeline_status", "0 good, 0.5 unknown, 1 warning, 2 critical", statuses);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(text)
}

/// Counts and times a request by its route, so that no path that a client invents becomes a label.
pub(crate) async fn measured(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, route) = match route {
        Some(route) => (request.method().to_string(), route),
        None => ("any".to_owned(), "none".to_owned()),
    };
    let started = Instant::now();
    let response = next.run(request).await;

    let (took, status) = (started.elapsed().as_secs_f64(), response.status().as_u16().to_string());
    histogram!("order_service_http_request_seconds", "method" => method.clone(), "route" => route.clone()).record(took);
    counter!("order_service_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}
