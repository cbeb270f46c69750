use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Error, Pem, Tls, Verification};

/// TLS of tokio-postgres by rustls.
#[derive(Clone, Debug)]
pub struct PostgresTls {
    config: Arc<ClientConfig>,
}

impl PostgresTls {
    /// Reads the certificates of these settings.
    ///
    /// # Errors
    /// A certificate or a key cannot be read or used.
    pub async fn new(tls: &Tls) -> Result<Self, Error> {
        Ok(Self { config: tls.client_config().await? })
    }

    /// Returns the settings that libpq's parameters `sslmode`, `sslrootcert`, `sslcert` and `sslkey` describe. `get`
    /// returns the value of a parameter. Without `sslmode`, TLS is used if the server offers it.
    ///
    /// As in libpq, a named authority is checked even if the mode does not require it.
    ///
    /// # Errors
    /// `sslmode` is `allow` or no mode ([`Error::is_tls`]).
    pub fn settings<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<(SslMode, Tls), Error> {
        let (mode, verification) = match get("sslmode").unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Verification::None),
            "prefer" => (SslMode::Prefer, Verification::None),
            "require" => (SslMode::Require, Verification::None),
            "verify-ca" => (SslMode::Require, Verification::Chain),
            "verify-full" => (SslMode::Require, Verification::Full),
            other => {
                let supported = "use disable, prefer, require, verify-ca or verify-full";
                return Err(Error::tls(format!("sslmode={other} is not supported: {supported}")));
            }
        };

        let authority = get("sslrootcert").filter(|file| *file != "system");
        let verification = match verification {
            Verification::None if authority.is_some() => Verification::Chain,
            verification => verification,
        };
        let mut tls = Tls::new().verification(verification);
        if let Some(file) = authority {
            tls = tls.roots(Pem::file(file));
        }
        if let (Some(certificate), Some(key)) = (get("sslcert"), get("sslkey")) {
            tls = tls.identity(Pem::file(certificate), Pem::file(key));
        }
        Ok((mode, tls))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for PostgresTls {
    type Stream = PostgresTlsStream<S>;
    type TlsConnect = PostgresTlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<PostgresTlsConnect> {
        Ok(PostgresTlsConnect { config: Arc::clone(&self.config), host: host.to_owned() })
    }
}

/// The TLS handshake with one host. A Unix socket has no name, and no TLS either.
#[derive(Debug)]
pub struct PostgresTlsConnect {
    config: Arc<ClientConfig>,
    host: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for PostgresTlsConnect {
    type Stream = PostgresTlsStream<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<PostgresTlsStream<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        async move {
            let name = ServerName::try_from(self.host).map_err(io::Error::other)?;
            let connected = TlsConnector::from(self.config).connect(name, stream).await;
            connected.map(|stream| PostgresTlsStream(Box::new(stream)))
        }
        .boxed()
    }
}

/// An encrypted connection to PostgreSQL.
#[derive(Debug)]
pub struct PostgresTlsStream<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for PostgresTlsStream<S> {
    /// Returns none: SCRAM works without it.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PostgresTlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PostgresTlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
