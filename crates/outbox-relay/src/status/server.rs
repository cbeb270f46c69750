use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Readiness, RelayStatus};

/// Who asks for longer, or holds a connection without asking, is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers at once; more wait.
const CONNECTIONS: usize = 16;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub async fn start(status: RelayStatus, address: SocketAddr) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    Ok((listener.local_addr()?, tokio::spawn(serve(status, listener))))
}

async fn serve(status: RelayStatus, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(target: "outbox.relay", %error, "connection for metrics cannot be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let status = status.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&status, &request))));
            let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            // Who went away does not want to know.
            let _ = tokio::time::timeout(PATIENCE, connection).await;
            drop(permit);
        });
    }
}

fn answer<B>(status: &RelayStatus, request: &Request<B>) -> Response<Full<Bytes>> {
    let (code, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, OPEN_METRICS, status.prometheus_text()),
        (&Method::GET | &Method::HEAD, "/ready") => ready(&status.readiness(), request.uri().query()),
        (&Method::GET | &Method::HEAD, "/live") => match status.liveness() {
            Ok(()) => (StatusCode::OK, TEXT, "live\n".to_owned()),
            Err(silence) => {
                let text = format!("not live: the relay's loop has not turned for {} s\n", silence.as_secs());
                (StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
            }
        },
        (_, "/metrics" | "/ready" | "/live") => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET it\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, TEXT, "there are /metrics, /ready and /live\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Answers whether the relay is ready. With `standby=ok`, a relay that would take over is ready as well.
fn ready(readiness: &Readiness, query: Option<&str>) -> (StatusCode, HeaderValue, String) {
    let code = match (query, readiness) {
        (None | Some("" | "standby=ok"), Readiness::Ready) | (Some("standby=ok"), Readiness::Standby(_)) => {
            StatusCode::OK
        }
        (None | Some("" | "standby=ok"), _) => StatusCode::SERVICE_UNAVAILABLE,
        _ => return (StatusCode::BAD_REQUEST, TEXT, "the only parameter is standby=ok\n".to_owned()),
    };
    (code, TEXT, format!("{readiness}\n"))
}
