//! A trace from the caller's request to the event's effect, as a collector of OpenTelemetry is sent it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use outbox_test_support::eventually;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fixture::{Service, connected, program};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that keeps the spans that it is sent.
struct Collector {
    endpoint: String,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    async fn start() -> Self {
        let (listener, received) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::<Mutex<Vec<u8>>>::default());
        let (endpoint, kept) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(&received));
        let app = Router::new().fallback(async move |body: Bytes| kept.lock().unwrap().extend_from_slice(&body));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { endpoint, received }
    }

    fn has(&self, part: &[u8]) -> bool {
        self.received.lock().unwrap().windows(part.len()).any(|found| found == part)
    }

    /// Waits for a span of the trace with this parent and this name.
    async fn await_span(&self, parent: &str, name: &str) {
        // The fields `parent_span_id` and `name` of a span, which are next to each other in its bytes.
        let span = [&[0x22, 8], &*bytes(parent), &[0x2a, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        eventually(format!("the span {name:?}, a child of {parent}"), async || {
            (self.has(&bytes(TRACE)) && self.has(&span)).then_some(())
        })
        .await;
    }
}

/// Returns the bytes of an id.
fn bytes(id: &str) -> Vec<u8> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn a_request_its_event_and_the_effect_belong_to_the_callers_trace() {
    let ((env, _connector), collector) = (connected().await, Collector::start().await);
    let mut command = program::of(&env);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let mut service = Service::listening(command).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("content-type", "application/json"), ("traceparent", &*traceparent)];
    let body = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
    assert_eq!(service.send("POST", "/orders", &headers, body.to_string()).await.status, 201);
    collector.await_span(CALLER, "request").await;
    assert!(collector.has(b"order-service"));

    // The event's parent is the span of the request, and the handler's is that of the event.
    let sql = "SELECT traceparent FROM outbox.outbox_message";
    let parent: String = env.client().await.query_one(sql, &[]).await.unwrap().get(0);
    let request = parent.strip_prefix(&format!("00-{TRACE}-")).and_then(|rest| rest.strip_suffix("-01"));
    let request = request.unwrap_or_else(|| panic!("{parent}"));
    assert_ne!(request, CALLER);
    service.receives(1).await;
    collector.await_span(request, "handle event").await;
    service.terminate();
    assert!(service.ended().await.success());
}
