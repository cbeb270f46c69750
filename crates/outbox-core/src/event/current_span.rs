use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Traceparent, Tracestate};
use crate::DecodedEvent;

impl DecodedEvent {
    /// Makes a span of `tracing` a child of the trace that the event belongs to, as `tracing-opentelemetry` knows it,
    /// before the span is entered. If the event has no trace, nothing changes.
    ///
    /// A consumer's handlers continue with the traces of their events by `on_span(|span, event|
    /// event.continue_trace(span))`.
    pub fn continue_trace(&self, span: &Span) {
        let state = || self.tracestate.as_ref().and_then(|state| state.as_str().parse().ok()).unwrap_or_default();
        if let Some(parent) = self.traceparent.as_ref().and_then(|traceparent| span_context(traceparent, state())) {
            // This fails if no layer records the span, or the span has begun: it is then in a separate trace.
            _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
    }
}

/// Returns the current span's `traceparent` and `tracestate`, if there is a span that OpenTelemetry knows.
pub(super) fn trace_context() -> Option<(String, Option<Tracestate>)> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let flags = span.trace_flags().to_u8();
    // A state that is too long for the table is dropped, as the specification allows.
    let state = span.trace_state().header().parse().ok();
    span.is_valid().then(|| (format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()), state))
}

fn span_context(traceparent: &Traceparent, state: TraceState) -> Option<SpanContext> {
    let mut parts = traceparent.as_str().split('-').skip(1);
    let (trace, span) = (TraceId::from_hex(parts.next()?).ok()?, SpanId::from_hex(parts.next()?).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, state))
}
