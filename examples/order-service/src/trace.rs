use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use outbox_core::event::Traceparent;
use tracing::Instrument as _;

/// Returns the caller's trace. One that is malformed counts as none, as W3C Trace Context has it.
pub(crate) fn parent(headers: &HeaderMap) -> Option<Traceparent> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Gives a request a span, which its log entries and the event that it stores belong to.
pub(crate) async fn in_span(request: Request, next: Next) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let parent = parent(request.headers());
    let trace = parent.as_ref().and_then(|parent| parent.as_str().split('-').nth(1));
    let span = tracing::info_span!("request", otel.kind = "server", %method, path, trace);
    #[cfg(feature = "otlp")]
    crate::otlp::continue_trace(&span, parent.as_ref());
    next.run(request).instrument(span).await
}
