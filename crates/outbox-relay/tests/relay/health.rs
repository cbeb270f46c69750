use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use outbox_relay::{Mode, Readiness, RelayStatus};
use outbox_test_support::eventually;
use outbox_testkit::Broker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::fixture::RelayEnv;

async fn until(status: &RelayStatus, wanted: impl Fn(&Readiness) -> bool) -> Readiness {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let found = status.readiness();
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the status line and what follows the headers.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_relay_is_not_ready_while_the_broker_stands_still_and_ready_again_after() {
    let mut fixture = RelayEnv::new(1).await;
    let broker = Broker::start().await.unwrap();
    fixture.brokers = broker.address();
    let relay = fixture.start_with(|settings| settings.stalled_after(Duration::from_secs(1)));
    fixture.enqueue_each(1, 0..5).await;
    fixture.confirmed().await;
    until(&relay.status, Readiness::is_ready).await;
    broker.faults().freeze();
    fixture.enqueue_each(1, 5..10).await;

    let stalled = until(&relay.status, |readiness| !readiness.is_ready()).await;
    assert!(matches!(&stalled, Readiness::NotReady(reason) if reason.contains("stalled")), "{stalled}");

    // It waits, and is not to be killed for it.
    assert_eq!(relay.status.liveness(), Ok(()));
    assert!(relay.status.prometheus_text().contains("outbox_relay_unacknowledged_rows 5\n"));
    broker.faults().thaw();
    until(&relay.status, Readiness::is_ready).await;
    fixture.confirmed().await;
    relay.stop().await;
}

/// Nothing can be written where not even the topic can be seen.
#[tokio::test]
async fn a_relay_is_not_ready_while_there_is_no_broker() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.brokers = format!("127.0.0.1:{}", xtask::stack::free_port().unwrap());
    let relay = fixture.start_with(|settings| settings.stalled_after(Duration::from_secs(1)));
    fixture.enqueue_each(1, 0..1).await;
    let reason = |readiness: &Readiness| matches!(readiness, Readiness::NotReady(reason) if reason.contains(&fixture.brokers) && reason.contains("retrying"));
    until(&relay.status, reason).await;
    assert_eq!(relay.status.liveness(), Ok(()));
    let failures = relay.status.prometheus_text();
    let is_counted =
        |line: &str| line.starts_with("outbox_relay_kafka_errors_total") && line.contains("error=\"connect\"");
    assert!(failures.lines().any(is_counted), "{failures}");
    relay.kill().await;
}

#[tokio::test]
async fn a_standby_says_so_and_becomes_ready_when_it_takes_over() {
    let fixture = RelayEnv::new(1).await;
    let first = fixture.start();
    until(&first.status, Readiness::is_ready).await;
    let second = fixture.start();
    let (address, server) = second.status.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    until(&second.status, |readiness| matches!(readiness, Readiness::Standby(_))).await;
    let (line, body) = get(address, "/ready").await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(body.starts_with("standby: PID ") && body.contains(fixture.name()), "{body}");

    let (line, body) = get(address, "/ready?standby=ok").await;
    assert!(line == "HTTP/1.1 200 OK" && body.starts_with("standby: PID "), "{line}: {body}");
    assert_eq!(get(address, "/ready?standby=yes").await.0, "HTTP/1.1 400 Bad Request");
    assert_eq!(get(address, "/live").await.0, "HTTP/1.1 200 OK");
    assert!(get(address, "/metrics").await.1.contains("outbox_relay_mode{mode=\"standby\"} 1\n"));

    // Clients that send no request keep no probe from an answer.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }

    assert_eq!(get(address, "/live").await.0, "HTTP/1.1 200 OK");
    drop(silent);
    assert_eq!(get(address, "/").await.0, "HTTP/1.1 404 Not Found");
    first.stop().await;
    until(&second.status, Readiness::is_ready).await;
    assert_eq!(get(address, "/ready").await, ("HTTP/1.1 200 OK".to_owned(), "ready\n".to_owned()));
    let status = second.status.clone();
    second.stop().await;
    assert_eq!(status.mode(), Mode::Stopped);
    assert_eq!(get(address, "/ready").await.1, "not ready: stopped\n");
    assert_eq!(get(address, "/ready?standby=ok").await.0, "HTTP/1.1 503 Service Unavailable");
    server.abort();
}

/// Its task is there and its sockets are open, and nobody polls it.
#[tokio::test]
async fn a_relay_whose_loop_hangs_is_not_live() {
    let fixture = RelayEnv::new(1).await;
    let hang = Arc::new(AtomicBool::new(false));
    let relay = fixture.relay(|settings| settings);
    let status = relay.status();
    let (address, server) = status.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut run = Box::pin(relay.run(std::future::pending()));
    let hangs = Arc::clone(&hang);
    let task = tokio::spawn(std::future::poll_fn(move |context| {
        if hangs.load(Ordering::Relaxed) { Poll::Pending } else { run.as_mut().poll(context).map(drop) }
    }));
    until(&status, Readiness::is_ready).await;
    assert_eq!(get(address, "/live").await.0, "HTTP/1.1 200 OK");

    hang.store(true, Ordering::Relaxed);
    eventually("the relay is not live", async || get(address, "/live").await.0 == "HTTP/1.1 503 Service Unavailable")
        .await;
    task.abort();
    server.abort();
}
