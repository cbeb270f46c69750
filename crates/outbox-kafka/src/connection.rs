use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use outbox_net::TlsFault;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::api::{self, Api};
use super::error::{Error, Kind};
use super::pending::{self, Pending};
use super::{Capabilities, ErrorCode, Settings, frames};

/// A connection to one broker, for concurrent requests. It is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Box<str>,
    client: StrBytes,
    request_timeout: Duration,
    pending: Arc<Pending>,
    task: AbortHandle,
    capabilities: OnceLock<Arc<Capabilities>>,
    /// Whether the broker has answered a request other than ApiVersions.
    has_worked: AtomicBool,
    /// The time until which the broker reads nothing from this connection, because a quota is exceeded.
    throttled: Mutex<Option<Instant>>,
    /// The lifetime of the login, if it is limited.
    session: OnceLock<Mutex<Session>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Creates a connection over a stream. One task carries its frames until an error, which then ends all requests
    /// that are pending.
    pub(super) fn over(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        broker: &str,
        settings: &Settings,
    ) -> Self {
        let (frames, outgoing) = mpsc::unbounded_channel();
        let pending = Arc::new(Pending::new(frames));
        let carrier = {
            let pending = Arc::clone(&pending);
            let max_answer = settings.max_answer;
            async move {
                let cause = tokio::select! {
                    cause = frames::receive(reader, max_answer, &pending) => cause,
                    cause = frames::send(writer, outgoing) => cause,
                };
                pending.close(cause);
            }
        };

        Self(Arc::new(Inner {
            broker: broker.into(),
            client: StrBytes::from_string(settings.client_id.clone()),
            request_timeout: settings.request_timeout,
            pending,
            task: tokio::spawn(carrier).abort_handle(),
            capabilities: OnceLock::new(),
            has_worked: AtomicBool::new(false),
            throttled: Mutex::default(),
            session: OnceLock::new(),
        }))
    }

    /// Records how long the broker accepts the login.
    pub(super) fn limit_session(&self, lifetime: Duration) {
        let _ = self.0.session.set(Mutex::new(Session::new(lifetime)));
    }

    /// Asks the broker for the versions that it speaks.
    pub(super) async fn negotiate(&self) -> Result<(), Error> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("outbox-relay"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        // A broker that does not know the version answers in version 0.
        let mut answer = self.negotiate_by(&request, 3).await;
        if answer.as_ref().is_err_and(|e| e.code() == Some(ErrorCode::UNSUPPORTED_VERSION)) {
            answer = self.negotiate_by(&request, 0).await;
        }
        let _ = self.0.capabilities.set(Arc::new(answer?));
        Ok(())
    }

    async fn negotiate_by(&self, request: &ApiVersionsRequest, version: i16) -> Result<Capabilities, Error> {
        let answer = self.send_as(request, version, 0)?.bytes().await?;
        let code = answer.get(4..6).and_then(|code| code.try_into().ok()).map_or(0, i16::from_be_bytes);
        if let Some(code) = ErrorCode::from_code(code) {
            return Err(Error::code_of(code, None).by(ApiVersionsRequest::NAME));
        }
        let response = api::decode::<ApiVersionsRequest>(answer, version)?;
        Ok(Capabilities::new(response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)))))
    }

    /// Returns the capabilities of the broker. They are empty before the negotiation.
    pub(crate) fn capabilities(&self) -> Arc<Capabilities> {
        self.0.capabilities.get().cloned().unwrap_or_default()
    }

    /// Returns the newest version of a request that both sides speak.
    pub(crate) fn version_of<A: Api>(&self) -> Result<i16, Error> {
        self.capabilities().version_of::<A>().map_err(|e| e.at(&self.0.broker))
    }

    /// Sends a request and waits for its answer. When this is dropped the request may have been carried out.
    pub(crate) async fn request<A: Api>(&self, request: &A) -> Result<A::Response, Error> {
        self.unthrottled().await;
        self.send_as(request, self.version_of::<A>()?, 0)?.wait().await
    }

    /// Queues a request in a given version, without waiting. If it fails, the request was not sent.
    pub(crate) fn send_as<A: Api>(&self, request: &A, version: i16, room: usize) -> Result<Sent<A>, Error> {
        let here = |e: Error| e.by(A::NAME).at(&self.0.broker);
        let frame = api::encode(request, version, &self.0.client, 256 + room).map_err(here)?;
        let answer = self.0.pending.send(frame).map_err(here)?;
        let deadline = Instant::now() + self.0.request_timeout;
        Ok(Sent { connection: self.clone(), answer, version, deadline, api: PhantomData })
    }

    /// Waits until the broker reads requests again, if it said that a quota is exceeded. The timeout of a request that
    /// is sent earlier would expire in the socket.
    pub(crate) async fn unthrottled(&self) {
        let until = *self.0.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn throttle(&self, time_ms: i32) {
        if let Ok(time_ms @ 1..) = u64::try_from(time_ms) {
            let until = Instant::now() + Duration::from_millis(time_ms);
            let mut throttled = self.0.throttled.lock().unwrap_or_else(PoisonError::into_inner);
            *throttled = (*throttled).max(Some(until));
        }
    }

    /// Requests can still be sent.
    pub(crate) fn is_usable(&self) -> bool {
        !self.0.pending.is_closed() && self.session().is_none_or(|session| Instant::now() < session.expires)
    }

    /// Returns whether a connection with a new login should take the place of this one.
    pub(crate) fn is_due(&self) -> bool {
        self.session().is_some_and(|session| Instant::now() >= session.renew)
    }

    /// Puts off the replacement of this connection, because a new login failed.
    pub(crate) fn put_off(&self) {
        if let Some(mut session) = self.session() {
            session.renew = Instant::now() + session.retry;
        }
    }

    fn session(&self) -> Option<MutexGuard<'_, Session>> {
        self.0.session.get().map(|session| session.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn broker(&self) -> &str {
        &self.0.broker
    }
}

/// The lifetime of a login, after which the broker closes the connection (KIP-368).
#[derive(Debug)]
struct Session {
    /// The time at which a new connection with a new login is opened, so that no request is lost with the old one.
    renew: Instant,
    /// The pause after a login that failed.
    retry: Duration,
    /// The time after which no more request is sent.
    expires: Instant,
}

impl Session {
    fn new(lifetime: Duration) -> Self {
        let now = Instant::now();
        Self {
            renew: now + lifetime.mul_f32(0.8),
            retry: lifetime.mul_f32(0.03),
            expires: now + lifetime.mul_f32(0.95),
        }
    }
}

/// A request that was sent. The broker may have carried it out, even if no answer arrives.
#[derive(Debug)]
pub(crate) struct Sent<A> {
    connection: Connection,
    answer: pending::Answer,
    version: i16,
    deadline: Instant,
    api: PhantomData<fn() -> A>,
}

impl<A: Api> Sent<A> {
    pub(crate) async fn wait(self) -> Result<A::Response, Error> {
        let (version, broker) = (self.version, self.connection.clone());
        let answer = self.bytes().await?;
        let response = api::decode::<A>(answer, version).map_err(|e| e.at(broker.broker()))?;
        broker.throttle(A::throttle_ms(&response));
        Ok(response)
    }

    /// Waits for the answer, and does not decode it.
    pub(crate) async fn bytes(self) -> Result<Bytes, Error> {
        let inner = &self.connection.0;
        let result = match timeout_at(self.deadline, self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::new(Kind::Closed)),
            Err(_) => {
                // Later requests would wait behind this one.
                inner.pending.close(io::Error::new(io::ErrorKind::TimedOut, "an earlier request had no answer"));
                inner.task.abort();
                Err(Error::new(Kind::Timeout(inner.request_timeout)))
            }
        };

        match &result {
            Ok(_) if A::KEY != ApiVersionsRequest::KEY => inner.has_worked.store(true, Ordering::Relaxed),
            Err(e)
                if *e.kind() == Kind::Closed
                    && !inner.has_worked.load(Ordering::Relaxed)
                    && TlsFault::find(e).is_none()
                    && !frames::is_tls(e) =>
            {
                // A broker gives no reason to a client without TLS or login on a port that demands it.
                return result.map_err(|e| Error::new(Kind::ClosedEarly).because(e).by(A::NAME).at(&inner.broker));
            }
            _ => {}
        }
        result.map_err(|e| e.by(A::NAME).at(&inner.broker))
    }
}

#[cfg(test)]
mod tests;
