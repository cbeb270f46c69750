use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

/// The silence after which the kernel probes the peer, and the pause between its probes.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 4;
/// The time that sent bytes may stay unacknowledged. TCP keepalive does not cover these.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Connects to a host by TCP, at each of its addresses in turn until one accepts.
///
/// Each address has an equal share of the time that is left, so an address that drops packets does not keep the others
/// from being tried. The connection has TCP keepalive, and sends small packets at once.
///
/// # Errors
/// The name has no address, or none accepts within `limit`. The error names each address that was tried.
pub async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let found = timeout_at(deadline, addresses(host, port)).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("the name {host} was not resolved")))
    })?;
    connect_first(host, &found, deadline).await
}

/// Returns all addresses of a host.
///
/// # Errors
/// The name cannot be resolved.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// Splits `HOST:PORT`, where an IPv6 address is in brackets; `None` if it is not of this form.
#[must_use]
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.trim().rsplit_once(':')?;
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = in_brackets.unwrap_or(host);
    if host.is_empty() || (in_brackets.is_none() && host.contains(':')) {
        None
    } else {
        Some((host, port.parse().ok()?))
    }
}

async fn connect_first(host: &str, addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failures = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let addresses_left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = left / addresses_left;
        let attempt = timeout(share, connect_to(*address)).await;
        match attempt
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {share:.1?}"))))
        {
            Ok(stream) => return Ok(stream),
            Err(e) => failures.push((*address, e)),
        }
    }

    let kind = failures.last().map_or(io::ErrorKind::NotFound, |(_, e)| e.kind());
    Err(io::Error::new(kind, NoAddress { host: host.into(), failures }))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(any(target_os = "openbsd", target_os = "redox", target_os = "solaris")))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    let options = SockRef::from(&socket);
    options.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;

    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Debug)]
struct NoAddress {
    host: Box<str>,
    failures: Vec<(SocketAddr, io::Error)>,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return write!(f, "the name {} has no address", self.host);
        }
        write!(f, "no address of {} accepts a connection", self.host)?;
        for (index, (address, error)) in self.failures.iter().enumerate() {
            write!(f, "{} {address} ({error})", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for NoAddress {}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// A socket whose queue of connections is full: the kernel drops further packets to it, as a dead host does.
    struct Silent {
        address: SocketAddr,
        _listener: socket2::Socket,
        _waiting: Vec<TcpStream>,
    }

    impl Silent {
        async fn new() -> Self {
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            let mut waiting = Vec::new();
            while let Ok(Ok(stream)) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
                waiting.push(stream);
            }
            Self { address, _listener: listener, _waiting: waiting }
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        assert_eq!(host_and_port(" kafka:9092"), Some(("kafka", 9092)));
        assert_eq!(host_and_port("[::1]:9092"), Some(("::1", 9092)));
        for wrong in ["", "kafka", ":9092", "kafka:", "kafka:99999", "::1:9092"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_address_that_drops_packets_leaves_time_for_the_next() {
        let silent = Silent::new().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let answering = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(4);
        let stream = connect_first("db", &[silent.address, answering], deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);
        assert!(Instant::now() < deadline);
        assert!(stream.nodelay().unwrap() && SockRef::from(&stream).keepalive().unwrap());

        let error =
            connect_first("db", &[silent.address], Instant::now() + Duration::from_millis(200)).await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(&silent.address.to_string()) && shown.contains("no answer in"), "{shown}");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn names_are_resolved_and_failures_name_every_address() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        connect("localhost", port, Duration::from_secs(60)).await.unwrap();
        drop(listener);
        let shown = connect("127.0.0.1", port, Duration::from_secs(60)).await.unwrap_err().to_string();
        assert!(shown.contains(&format!("127.0.0.1:{port}")), "{shown}");
        let error = connect_first("empty", &[], Instant::now()).await.unwrap_err();
        assert!(error.to_string().contains("has no address"), "{error}");
    }
}
