use std::error::Error;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::rt::{Read, Write};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use outbox_net::rustls::pki_types::ServerName;
use outbox_net::{Secret, Tls};
use serde_json::Value;
use tokio_rustls::TlsConnector;

use crate::exit::Failure;

/// More than any answer of a worker.
const LARGEST: usize = 16 << 20;

/// JSON over HTTP/1.1, with a connection for each request.
pub(super) struct Http {
    address: Address,
    tls: Option<Tls>,
    authorization: Option<HeaderValue>,
    limit: Duration,
}

/// The answer of a worker.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: Bytes,
    /// Null if the text is no JSON, such as a proxy's page.
    pub(super) body: Value,
}

/// Sends a GET to another server than Kafka Connect. Returns whether it succeeded, and the text of the answer.
pub(crate) async fn get_text(url: &str, path: &str, limit: Duration) -> Result<(bool, String), Failure> {
    let address = Address::parse(url)?;
    let tls = address.is_https.then(Tls::new);
    let failed = format!("{url} does not answer");
    let http = Http::new(address, tls, None, limit);
    let answer = http.exchange_in_time(&Method::GET, path, None).await;
    let answer = answer.map_err(|e| Failure::server(failed).caused_by(&*e))?;
    Ok((answer.status.is_success(), String::from_utf8_lossy(&answer.text).into_owned()))
}

impl Http {
    pub(super) fn new(address: Address, tls: Option<Tls>, login: Option<(String, Secret)>, limit: Duration) -> Self {
        let authorization = login.and_then(|(user, password)| {
            let encoded = STANDARD.encode(format!("{user}:{}", password.expose()));
            let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { address, tls, authorization, limit }
    }

    /// Sends a request. An answer of any status is `Ok`.
    pub(super) async fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        self.exchange_in_time(method, path, body).await.map_err(|e| {
            Failure::server(format!("{self} does not answer: check --connect-url, and whether the worker runs"))
                .caused_by(&*e)
        })
    }

    async fn exchange_in_time(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let answer = tokio::time::timeout(self.limit, self.exchange(method, path, body)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s (--timeout)", self.limit.as_secs_f64()).into()))
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let stream = outbox_net::connect(&self.address.host, self.address.port, self.limit).await?;
        let request = self.request(method, path, body)?;
        match &self.tls {
            None => exchange(TokioIo::new(stream), request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.address.host.clone())?;
                let stream = TlsConnector::from(tls.client_config().await?).connect(name, stream).await?;
                exchange(TokioIo::new(stream), request).await
            }
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.address.path))
            .header(HOST, &self.address.authority)
            .header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::from(body.map(Value::to_string).unwrap_or_default()))
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka Connect at {}", self.address.authority)
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error + Send + Sync>>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    let carried = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let text = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
    carried.abort();
    let body = serde_json::from_slice(&text).unwrap_or_default();
    Ok(Answer { status, text, body })
}

/// The port of Connect's workers, unless they are configured otherwise.
const PORT: u16 = 8083;

/// The base of a worker's REST API.
#[derive(Clone, Debug)]
pub(super) struct Address {
    host: String,
    port: u16,
    /// Host and port, as the header `Host` has them.
    authority: String,
    /// The path before `/connectors`, for a worker behind a proxy.
    path: String,
    pub(super) is_https: bool,
}

impl Address {
    /// Parses a URL. The error does not quote it, because it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |reason: &str| Failure::usage(format!("the address of Kafka Connect: {reason}"));
        let form = "it is written http://HOST:8083 or https://HOST:8083";
        let uri: Uri = text.parse().map_err(|_| wrong(form))?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong(form)),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(|| wrong(form))?;
        if authority.as_str().contains('@') {
            return Err(wrong("leave user and password out, and give --connect-user and CONNECT_PASSWORD"));
        }

        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path().trim_end_matches('/').trim_end_matches("/connectors").to_owned();
        let port = authority.port_u16().unwrap_or(PORT);
        Ok(Self { host, port, authority: format!("{}:{port}", authority.host()), path, is_https })
    }

    /// Returns whether the connection cannot be intercepted: it is encrypted or local.
    pub(super) fn is_private(&self) -> bool {
        let is_loopback = self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        self.is_https || is_loopback || self.host == "localhost"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_workers() {
        let plain = Address::parse("http://connect").unwrap();
        assert_eq!((&*plain.authority, &*plain.path, plain.is_private()), ("connect:8083", "", false));
        let proxied = Address::parse("https://[::1]:443/kafka/connectors/").unwrap();
        assert_eq!((&*proxied.host, &*proxied.authority, &*proxied.path), ("::1", "[::1]:443", "/kafka"));
        assert!(proxied.is_private() && Address::parse("http://127.0.0.1:1").unwrap().is_private());
        for text in ["connect:8083", "ftp://connect", "http://", "http://me:hunter2@connect"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
