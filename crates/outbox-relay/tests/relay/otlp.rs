//! Traces and metrics for an OpenTelemetry collector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use outbox_test_support::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::RelayEnv;
use crate::program::Program;

/// A collector that keeps what it is sent, by path.
struct Collector {
    address: String,
    received: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<_>>::default());
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&kept)));
            }
        });
        Self { address, received }
    }

    fn has(&self, path: &str, text: &str) -> bool {
        let received = self.received.lock().unwrap();
        received.get(path).is_some_and(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

/// Answers requests until the connection ends.
async fn answer(mut stream: TcpStream, received: Arc<Mutex<BTreeMap<String, Vec<u8>>>>) {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if buffer.len() < end + 4 + length {
            continue;
        }
        let request: Vec<u8> = buffer.drain(..end + 4 + length).collect();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        received.lock().unwrap().entry(path).or_default().extend(&request[end + 4..]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn a_collector_is_sent_the_spans_of_batches_and_the_metrics() {
    let (fixture, collector) = (RelayEnv::new(1).await, Collector::start().await);
    let endpoint = format!("http://{}", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let program = Program::start_in(&fixture, &[], &environment);
    fixture.enqueue_each(1, 0..5).await;
    fixture.records(5).await;
    eventually("the span of a batch arrives", async || collector.has("/v1/traces", "base_offset")).await;
    assert!(collector.has("/v1/traces", "outbox-relay") && collector.has("/v1/traces", &fixture.topic));

    eventually("metrics with labels arrive", async || collector.has("/v1/metrics", "outbox_relay_events_total")).await;
    assert!(collector.has("/v1/metrics", "outbox_relay_lag_seconds"));
    assert!(program.stop().await.success());
    assert!(collector.has("/v1/traces", "session"), "the span of the session was not sent at the end");
}
