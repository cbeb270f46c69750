use std::error::Error as StdError;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// The reason why a TLS connection was rejected by one of its sides. `Display` names the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate comes from an unknown authority.
    #[error("the server's certificate is not trusted: name the file of the authority that signed it")]
    UntrustedServer,
    /// The server's certificate names other hosts.
    #[error(
        "the server's certificate does not name this host: connect by a name that it has, or have it issued for this one"
    )]
    WrongHost,
    /// The server's certificate is out of its time.
    #[error("the server's certificate has expired or is not valid yet: renew it, or correct the clock")]
    ExpiredServer,
    /// The server demands a certificate of the client.
    #[error("the server demands a client certificate: configure a certificate and its key")]
    ClientCertificateMissing,
    /// The server rejected the client's certificate.
    #[error(
        "the server rejected the client's certificate: it must be current and signed by an authority that the server trusts"
    )]
    ClientCertificateRejected,
    /// The other side does not use TLS.
    #[error("the server does not use TLS on this port: connect to its TLS port, or without TLS")]
    NotTls,
    /// Another fault of the handshake.
    #[error("the TLS handshake failed")]
    Other,
}

impl TlsFault {
    /// Finds the TLS error in an error and its sources; `None` if there is none.
    #[must_use]
    pub fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(current) = next {
            if let Some(tls) = current.downcast_ref::<Error>() {
                return Some(Self::new(tls));
            }
            // `source` of an `io::Error` skips the error inside it, which `get_ref` returns.
            let inner = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = inner.map(|inner| inner as _).or_else(|| current.source());
        }
        None
    }

    /// Classifies an error of TLS by what an operator must change.
    fn new(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(fault) => match fault {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongHost,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::ExpiredServer,
                _ => Self::UntrustedServer,
            },
            Error::AlertReceived(AlertDescription::CertificateRequired) => Self::ClientCertificateMissing,
            Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError,
            ) => Self::ClientCertificateRejected,
            Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_below_an_error_of_the_connection() {
        let io = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(TlsFault::find(&io), Some(TlsFault::UntrustedServer));
        let nested = io::Error::other(io);
        assert_eq!(TlsFault::find(&nested), Some(TlsFault::UntrustedServer));
        let alert = io::Error::other(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(TlsFault::find(&alert), Some(TlsFault::ClientCertificateMissing));
        assert_eq!(TlsFault::find(&io::Error::other("reset")), None);
    }
}
