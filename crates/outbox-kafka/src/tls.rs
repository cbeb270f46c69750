use std::fmt;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::{Error, Kind};

/// TLS to the brokers, whose certificates must name the host that was connected to.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts the authorities in a PEM file's text. The relay shows a certificate where one is given, as two PEM
    /// texts: certificates and private key.
    pub fn trusting(authorities: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Self, Error> {
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| Error::new(Kind::Security).because(cause);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            roots.add(certificate.map_err(|e| failed(e.into()))?).map_err(|e| failed(e.into()))?;
        }
        if roots.is_empty() {
            return Err(failed("no certificate to trust".into()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(e.into()))?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificates)
                    .collect::<Result<_, _>>()
                    .map_err(|e| failed(e.into()))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| failed(e.into()))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| failed(e.into()))?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn handshake(&self, stream: TcpStream, broker: &str) -> Result<TlsStream<TcpStream>, Error> {
        let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Error::new(Kind::Security).because(e))?;
        self.0.connect(name, stream).await.map_err(|e| {
            // A broken handshake may do better again, a certificate that is not trusted will not.
            let kind = if e.kind() == std::io::ErrorKind::InvalidData { Kind::Security } else { Kind::Connect };
            Error::new(kind).because(e)
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
