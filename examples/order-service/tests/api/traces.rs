use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use outbox_test_support::eventually;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fixture::{Service, program, set_up};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Starts a collector that keeps the spans that it is sent.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let (listener, kept) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    let (endpoint, received) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(&kept));
    let app = Router::new().fallback(async move |body: Bytes| kept.lock().unwrap().extend_from_slice(&body));
    tokio::spawn(axum::serve(listener, app).into_future());
    (endpoint, received)
}

#[tokio::test]
async fn a_request_and_its_event_belong_to_the_callers_trace() {
    let (env, (endpoint, received)) = (set_up().await, collector().await);
    let mut command = program::of(&env);
    command.args(["--mode", "api"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let mut service = Service::listening(command).await;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = [("content-type", "application/json"), ("traceparent", &*traceparent)];
    let body = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
    assert_eq!(service.send("POST", "/orders", &headers, body.to_string()).await.status, 201);

    // The event's parent is the span of the request, and not the caller's.
    let sql = "SELECT traceparent FROM outbox.outbox_message";
    let parent: String = env.client().await.query_one(sql, &[]).await.unwrap().get(0);
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent != traceparent, "{parent}");

    let bytes: Vec<u8> = (0..16).map(|byte| u8::from_str_radix(&TRACE[byte * 2..byte * 2 + 2], 16).unwrap()).collect();
    eventually("the span of the request arrives", async || {
        let received = received.lock().unwrap();
        let has = |part: &[u8]| received.windows(part.len()).any(|found| found == part);
        (has(&bytes) && has(b"request") && has(b"order-service")).then_some(())
    })
    .await;
    service.terminate();
    assert!(service.ended().await.success());
}
