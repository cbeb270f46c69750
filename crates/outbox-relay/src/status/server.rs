use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Readiness, RelayStatus};

/// The time after which a connection is closed, also one that sends no request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The connections that are open at once. One more closes the oldest: it is not a probe, which is answered at once.
const CONNECTIONS: usize = 16;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

impl RelayStatus {
    /// Answers `GET /metrics`, `/ready` and `/live` on this address (port 0 for any that is free), until the task that
    /// this starts is aborted. `/ready?standby=ok` also answers 200 if the relay is [`Readiness::Standby`].
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        let listener = TcpListener::bind(address).await?;
        Ok((listener.local_addr()?, tokio::spawn(accept(self.clone(), listener))))
    }
}

async fn accept(status: RelayStatus, listener: TcpListener) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(target: "outbox.relay", %error, "connection to the HTTP server cannot be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };

        open.retain(|connection| !connection.0.is_finished());
        if open.len() == CONNECTIONS {
            open.pop_front();
        }
        open.push_back(Connection(tokio::spawn(serve(status.clone(), stream))));
    }
}

/// A connection that is being served. It is closed when this value is dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(status: RelayStatus, stream: TcpStream) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&status, &request))));
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // A client that has closed the connection needs no answer.
    _ = tokio::time::timeout(PATIENCE, connection).await;
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
