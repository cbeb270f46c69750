//! The origin that an event carries.

use outbox_core::{EventBuilder, OutboxEvent, Pipeline};

use crate::fixtures::{decoded, order};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn billed() -> EventBuilder {
    OutboxEvent::builder("bill", "7", "Billed")
}

fn handled(event: &OutboxEvent) -> outbox_core::record::DecodedEvent {
    let pipeline = Pipeline::recommended();
    decoded(&pipeline, pipeline.encode(&pipeline.row(event).unwrap()).unwrap())
}

#[test]
fn an_event_goes_on_with_the_conversation_and_the_trace_of_its_cause() {
    let first = order().traceparent(TRACE).tracestate("vendor=a1,other=b").build().unwrap();
    let second = billed().caused_by(&handled(&first)).build().unwrap();
    let id = |event: &OutboxEvent| event.id().to_string();
    assert_eq!(second.causation_id().unwrap().as_str(), id(&first));
    assert_eq!(second.correlation_id().unwrap().as_str(), id(&first), "the first event begins the conversation");
    assert_eq!(second.traceparent().unwrap().as_str(), TRACE);
    assert_eq!(second.tracestate(), first.tracestate());
    let own_trace = billed().traceparent(TRACE).caused_by(&handled(&first)).build().unwrap();
    assert_eq!(own_trace.tracestate(), None, "the state belongs to the other trace");

    let third = billed().caused_by(&handled(&second)).build().unwrap();
    assert_eq!(third.causation_id().unwrap().as_str(), id(&second));
    assert_eq!(third.correlation_id().unwrap().as_str(), id(&first));
    assert_ne!(id(&third), id(&second));
}

#[test]
fn what_was_set_before_stays() {
    let cause = handled(&order().build().unwrap());
    let event = billed().causation_id("command-1").correlation_id("c").traceparent(TRACE).caused_by(&cause);
    let event = event.build().unwrap();
    assert_eq!(event.causation_id().unwrap().as_str(), "command-1");
    assert_eq!(event.correlation_id().unwrap().as_str(), "c");
    assert_eq!(event.traceparent().unwrap().as_str(), TRACE);
    assert!(billed().caused_by(&cause).build().unwrap().traceparent().is_none(), "there is no trace to go on with");
}

#[cfg(feature = "tracing-opentelemetry")]
mod in_a_span {
    use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn traced(sampler: Sampler, test: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test);
    }

    #[test]
    fn an_event_belongs_to_the_current_span() {
        for (sampler, flags) in [(Sampler::AlwaysOn, "01"), (Sampler::AlwaysOff, "00")] {
            traced(sampler, || {
                let span = tracing::info_span!("place order");
                let _entered = span.enter();
                let context = span.context();
                let told = context.span().span_context().clone();
                let expected = format!("00-{}-{}-{flags}", told.trace_id(), told.span_id());
                let event = order().in_current_span().build().unwrap();
                assert_eq!(event.traceparent().unwrap().as_str(), expected);

                let cause = handled(&order().traceparent(TRACE).build().unwrap());
                for event in
                    [billed().caused_by(&cause).in_current_span(), billed().in_current_span().caused_by(&cause)]
                {
                    let event = event.build().unwrap();
                    assert_eq!(event.traceparent().unwrap().as_str(), expected, "the handler's span is nearer");
                    assert_eq!(event.causation_id().unwrap().as_str(), cause.id.to_string());
                }
            });
        }
    }

    #[test]
    fn a_handler_s_span_goes_on_with_the_trace_of_its_event() {
        traced(Sampler::AlwaysOn, || {
            let cause = handled(&order().traceparent(TRACE).build().unwrap());
            let span = tracing::info_span!("handle event");
            cause.continue_trace(&span);
            let event = span.in_scope(|| billed().caused_by(&cause).in_current_span().build().unwrap());
            let traceparent = event.traceparent().unwrap().as_str();
            assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "the same trace: {traceparent}");
            assert_ne!(traceparent, TRACE, "and a span of its own");

            let of_no_trace = tracing::info_span!("handle event");
            handled(&order().build().unwrap()).continue_trace(&of_no_trace);
            let event = of_no_trace.in_scope(|| billed().in_current_span().build().unwrap());
            assert!(!event.traceparent().unwrap().as_str().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
        });
    }

    #[test]
    fn without_a_span_nothing_changes() {
        assert!(order().in_current_span().build().unwrap().traceparent().is_none());
        let event = order().traceparent(TRACE).in_current_span().build().unwrap();
        assert_eq!(event.traceparent().unwrap().as_str(), TRACE);
        traced(Sampler::AlwaysOn, || {
            assert!(order().in_current_span().build().unwrap().traceparent().is_none());
        });
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let _entered = tracing::info_span!("of another layer").entered();
            assert!(order().in_current_span().build().unwrap().traceparent().is_none());
        });
    }
}

#[test]
fn parts_are_taken_as_text_or_as_their_types() {
    let first = order().traceparent(TRACE).tracestate("vendor=a1").build().unwrap();
    let cause = handled(&first);
    let typed = billed()
        .traceparent(first.traceparent().unwrap().clone())
        .tracestate(first.tracestate().unwrap().clone())
        .causation_id(first.id())
        .correlation_id(cause.id);
    assert_eq!(typed.build().unwrap().causation_id(), billed().caused_by(&cause).build().unwrap().causation_id());

    let text = first.id().to_string();
    for event in [billed().correlation_id(&text), billed().correlation_id(first.id()), billed().correlation_id(&*text)]
    {
        assert_eq!(event.build().unwrap().correlation_id().unwrap().as_str(), text);
    }
    let decoded = handled(&billed().correlation_id(cause.id).build().unwrap());
    let again = billed().correlation_id(decoded.correlation_id.as_ref().unwrap()).build().unwrap();
    assert_eq!(again.correlation_id().unwrap().as_str(), text);
    assert_eq!(billed().causation_id("a\nb").build().unwrap_err().field(), Some("causation_id"));
}
