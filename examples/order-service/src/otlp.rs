//! Traces to an OpenTelemetry collector, if `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

use std::error::Error;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use outbox_core::event::Traceparent;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

const NAME: &str = "order-service";

/// Starts the exporter, if the environment names a collector. It is reached by HTTP without TLS.
pub(crate) fn start() -> Result<Option<SdkTracerProvider>, Box<dyn Error + Send + Sync>> {
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(None);
    }
    // The HTTP client asks for a provider of cryptography if another crate of the build has enabled its TLS.
    _ = outbox_net::rustls::crypto::ring::default_provider().install_default();

    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(NAME);
    }
    let spans = SpanExporter::builder().with_http().build()?;
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.build()).build()))
}

/// Returns the layer that exports the spans of requests, of handlers, and of a demonstration's relay.
pub(crate) fn layer<S>(traces: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let is_own = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("o"));
    let is_own = is_own.with_max_level_hint(LevelFilter::INFO);
    tracing_opentelemetry::layer().with_tracer(traces.tracer(NAME)).with_filter(is_own)
}

/// Makes the span a part of the caller's trace.
pub(crate) fn continue_trace(span: &Span, parent: Option<&Traceparent>) {
    if let Some(parent) = parent.and_then(context) {
        // Refused if no layer keeps the span: it is exported nowhere then.
        _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Reads `00-TRACE-PARENT-FLAGS`.
fn context(parent: &Traceparent) -> Option<SpanContext> {
    let mut parts = parent.as_str().split('-').skip(1);
    let (trace, span) = (TraceId::from_hex(parts.next()?).ok()?, SpanId::from_hex(parts.next()?).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}
