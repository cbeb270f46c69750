use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::ChannelBinding;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::channel_binding;
use super::error::{Error, Kind};
use super::options::{ConnectOptions, Host, TlsMode};

/// A connection to a server, before any word of the protocol but the one about TLS.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(super) async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        // Of several servers, `choose_server` has left one.
        let server = options.servers.first().ok_or_else(|| Error::protocol("options without a server"))?;
        match &server.host {
            Host::Socket(directory) => {
                // TLS is not spoken over Unix sockets, as in libpq.
                let path = directory.join(format!(".s.PGSQL.{}", server.port));
                UnixStream::connect(path).await.map(Self::Unix).map_err(Error::lost)
            }
            Host::Tcp(host) => {
                // The rest of the time is for TLS and the login.
                let limit = options.timeouts.connect * 3 / 4;
                let address = server.address.map(|address| address.to_string());
                let tcp = outbox_net::connect(address.as_ref().unwrap_or(host), server.port, limit);
                let tcp = tcp.await.map_err(Error::lost)?;
                match options.mode {
                    TlsMode::Disable => Ok(Self::Tcp(tcp)),
                    _ => Self::negotiate(tcp, host, options).await,
                }
            }
        }
    }

    /// Returns what a login can be bound to; none without TLS.
    pub(super) fn channel_binding(&self) -> Option<ChannelBinding> {
        let Self::Tls(stream) = self else { return None };
        let certificates = stream.get_ref().1.peer_certificates()?;
        channel_binding::of_certificate(certificates.first()?)
    }

    async fn negotiate(mut tcp: TcpStream, host: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(Error::lost)?;
        // One byte: what comes after it must have come through TLS.
        match tcp.read_u8().await.map_err(Error::lost)? {
            b'S' => {}
            b'N' if options.mode == TlsMode::Prefer => return Ok(Self::Tcp(tcp)),
            b'N' => return Err(Error::new(Kind::TlsRefused)),
            _ => return Err(Error::protocol("the answer to a request for TLS")),
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| Error::new(Kind::TlsName { host: host.into() }))?;
        let config = options.verified_tls().client_config().await.map_err(Error::secret)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        stream.map(|stream| Self::Tls(Box::new(stream))).map_err(Error::lost_or_tls)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
