use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::{Error, Pem, TlsFault};

/// The settings of TLS: trusted authorities, the check of the server's certificate, and the client's own certificate.
///
/// Files are read again for each new connection. By default the system's authorities are trusted, the certificate must
/// name the host, and no certificate is shown.
///
/// ```
/// use outbox_net::{Pem, Tls};
///
/// let tls = Tls::new().roots(Pem::file("/run/secrets/ca.pem"));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    verification: Verification,
    /// `None` for the system's.
    roots: Option<Pem>,
    identity: Option<(Pem, Pem)>,
}

/// The check of a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// The certificate comes from a trusted authority and names the host.
    #[default]
    Full,
    /// The certificate comes from a trusted authority; the host's name does not matter.
    Chain,
    /// Any certificate is accepted. This does not protect against a server that poses as another.
    None,
}

impl Tls {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the authorities to trust, in place of the system's.
    pub fn roots(self, roots: Pem) -> Self {
        Self { roots: Some(roots), ..self }
    }

    /// Sets how the server's certificate is checked.
    pub fn verification(self, verification: Verification) -> Self {
        Self { verification, ..self }
    }

    /// Sets the certificate, with those that it is signed by, and its key, which the client shows to the server.
    pub fn identity(self, certificates: Pem, key: Pem) -> Self {
        Self { identity: Some((certificates, key)), ..self }
    }

    /// Reads all files, and returns the configuration of a new connection.
    ///
    /// # Errors
    /// A file cannot be read, or holds no usable certificate or key.
    pub async fn client_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let settings = self.clone();
        // This reads files, of which the system's authorities are more than a hundred.
        tokio::task::spawn_blocking(move || settings.build())
            .await
            .unwrap_or_else(|e| Err(Error::tls("the certificates were not read").because(e)))
    }

    /// Finds the TLS error in an error of a connection with these settings; `None` if there is none.
    #[must_use]
    pub fn fault(&self, error: &(dyn std::error::Error + 'static)) -> Option<TlsFault> {
        match TlsFault::find(error) {
            // Java and OpenSSL reject an absent certificate with the alert for a bad one.
            Some(TlsFault::ClientCertificateRejected) if self.identity.is_none() => {
                Some(TlsFault::ClientCertificateMissing)
            }
            fault => fault,
        }
    }

    fn build(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::tls("no version of TLS is available").because(e))?;
        let builder = match self.verification {
            Verification::Full => builder.with_root_certificates(self.root_store()?),
            Verification::Chain => {
                let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(self.root_store()?), provider)
                    .build()
                    .map_err(|e| Error::tls("the trusted certificates are not usable").because(e))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(NoNameVerification(chain)))
            }
            Verification::None => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(NoServerVerification(provider)))
            }
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => builder
                .with_client_auth_cert(certificates.certificates()?, key.key()?)
                .map_err(|e| key.unusable("the key is not usable, or is not that of the certificate").because(e))?,
        };

        Ok(Arc::new(config))
    }

    fn root_store(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            Some(pem) => {
                for certificate in pem.certificates()? {
                    store
                        .add(certificate)
                        .map_err(|e| pem.unusable("a trusted certificate is not usable").because(e))?;
                }
            }
            None => {
                // The system's store may contain unusable certificates, which are skipped.
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if store.is_empty() {
                    return Err(Error::tls(
                        "the system has no trusted certificates: install the package ca-certificates, or name a CA file",
                    ));
                }
            }
        }
        Ok(store)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("verification", &self.verification)
            .field("roots", &self.roots)
            .field("identity", &self.identity)
            .finish()
    }
}

/// Accepts a certificate of any name from a trusted authority.
#[derive(Debug)]
struct NoNameVerification(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for NoNameVerification {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is checked last, after the chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Accepts any certificate. The handshake still proves that the server has the certificate's key.
#[derive(Debug)]
struct NoServerVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoServerVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_text_of_a_key_is_not_shown_and_every_check_is_built() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["db".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        for verification in [Verification::Full, Verification::Chain, Verification::None] {
            let tls = Tls::new()
                .roots(Pem::text(certificate.as_bytes()))
                .identity(Pem::text(certificate.as_bytes()), Pem::text(key.serialize_pem().as_bytes()))
                .verification(verification);
            tls.client_config().await.unwrap();
            assert!(!format!("{tls:?}").contains("PRIVATE"));
        }

        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let tls = Tls::new()
            .roots(Pem::text(certificate.as_bytes()))
            .identity(Pem::text(certificate.as_bytes()), Pem::text(other.as_bytes()));
        assert!(tls.client_config().await.unwrap_err().is_tls());
    }
}
