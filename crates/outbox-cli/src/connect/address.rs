use hyper::Uri;
use hyper::http::uri::Scheme;

use crate::exit::Failure;

/// The port of Connect's workers, unless they are configured otherwise.
const PORT: u16 = 8083;

/// The base of a worker's REST API.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port, as the header `Host` has them.
    pub(super) authority: String,
    /// The path before `/connectors`, for a worker behind a proxy.
    pub(super) path: String,
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
