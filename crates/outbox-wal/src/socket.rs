use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::ChannelBinding;
use postgres_protocol::message::frontend;
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::error::{Error, Kind};
use super::options::{ConnectOptions, Host, TlsMode};

/// A connection to a server, before any message of the protocol except the one about TLS.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects to the chosen server, and negotiates TLS if the options want it.
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        // `choose_server` has chosen one of several servers.
        let server = options.servers.first().ok_or_else(|| Error::protocol("options without a server"))?;
        match &server.host {
            Host::Socket(directory) => {
                // As in libpq, Unix sockets do not use TLS.
                let path = directory.join(format!(".s.PGSQL.{}", server.port));
                UnixStream::connect(path).await.map(Self::Unix).map_err(Error::lost)
            }
            Host::Tcp(host) => {
                // The remaining time is for TLS and the login.
                let limit = options.timeouts.connect * 3 / 4;
                let address = server.address.map(|address| address.to_string());
                let tcp = outbox_net::connect(address.as_ref().unwrap_or(host), server.port, limit);
                let tcp = tcp.await.map_err(Error::lost)?;
                limit_buffer_of_loopback(&tcp);
                match options.mode {
                    TlsMode::Disable => Ok(Self::Tcp(tcp)),
                    _ => Self::negotiate(tcp, host, options).await,
                }
            }
        }
    }

    /// Returns the channel binding of a login; `None` without TLS.
    pub fn channel_binding(&self) -> Option<ChannelBinding> {
        let Self::Tls(stream) = self else { return None };
        let certificates = stream.get_ref().1.peer_certificates()?;
        binding_of_certificate(certificates.first()?)
    }

    async fn negotiate(mut tcp: TcpStream, host: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(Error::lost)?;
        // Only one byte is read, because the following bytes must come through TLS.
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

/// The bytes that the kernel receives ahead on this machine.
const LOOPBACK_BUFFER: usize = 256 * 1024;

/// Limits how far a walsender on this machine sends ahead. It sends each row separately, and over loopback the kernel
/// delivers each one at once, in the walsender's CPU time. With a full buffer, rows are gathered and delivered
/// together, which saves a third of PostgreSQL's work for a large transaction. Over a network the buffer must grow with
/// the delay.
fn limit_buffer_of_loopback(tcp: &TcpStream) {
    if tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
        // The connection also works without this.
        _ = SockRef::from(tcp).set_recv_buffer_size(LOOPBACK_BUFFER);
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

/// Binds a login to the TLS connection by the server's certificate (RFC 5929, `tls-server-end-point`): a man in the
/// middle has another one. `None` if the certificate's signature names no hash.
pub fn binding_of_certificate(der: &[u8]) -> Option<ChannelBinding> {
    let hash = digest(hash(der)?, der);
    Some(ChannelBinding::tls_server_end_point(hash.as_ref().to_vec()))
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// Returns the hash of the certificate's signature; SHA-256 in place of the broken ones.
fn hash(der: &[u8]) -> Option<&'static Algorithm> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (_, after_body) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(after_body, SEQUENCE)?;
    let (oid, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    match oid.split_last()? {
        // MD5, SHA-1, SHA-256.
        (4 | 5 | 11, RSA) | (2, ECDSA_SHA2) => Some(&SHA256),
        (12, RSA) | (3, ECDSA_SHA2) => Some(&SHA384),
        (13, RSA) | (4, ECDSA_SHA2) => Some(&SHA512),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Returns the contents of a DER element of this kind, and the rest after it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != kind {
        return None;
    }

    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn hash_of(algorithm: &'static SignatureAlgorithm) -> Option<&'static Algorithm> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(["db".to_owned()]).unwrap().self_signed(&key).unwrap();
        hash(certificate.der())
    }

    #[test]
    fn the_hash_is_the_signatures() {
        assert_eq!(hash_of(&rcgen::PKCS_ECDSA_P256_SHA256), Some(&SHA256));
        assert_eq!(hash_of(&rcgen::PKCS_ECDSA_P384_SHA384), Some(&SHA384));
        assert_eq!(hash_of(&rcgen::PKCS_ED25519), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_hash_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = hash(&bytes);
        }
    }
}
