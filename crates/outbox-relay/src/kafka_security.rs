use std::fmt;

use crate::error::Error;
use outbox_kafka::{Mechanism, Sasl, Security, Tls};

/// How the relay's connections to Kafka are kept secret, and how it logs in. Nothing of either by default.
///
/// ```
/// use outbox_relay::KafkaSecurity;
///
/// let security = KafkaSecurity::default().scram_sha_512("relay", "secret");
/// assert!(!format!("{security:?}").contains("secret"));
/// ```
#[derive(Clone, Default)]
pub struct KafkaSecurity(Security);

impl KafkaSecurity {
    /// TLS, with the authorities to trust as the text of a PEM file; the brokers' certificates have to name the hosts
    /// that are connected to.
    ///
    /// # Errors
    /// There is no certificate in the text.
    pub fn tls(self, authorities: &[u8]) -> Result<Self, Error> {
        self.with_tls(authorities, None)
    }

    /// As [`tls`](Self::tls), and the relay shows a certificate: two texts in PEM.
    ///
    /// # Errors
    /// There is no certificate in the texts, or no key.
    pub fn mutual_tls(self, authorities: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        self.with_tls(authorities, Some((certificate, key)))
    }

    fn with_tls(self, authorities: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Self, Error> {
        let tls = Tls::trusting(authorities, identity)
            .map_err(|e| Error::settings("the certificates for Kafka cannot be used").caused_by(e))?;
        Ok(Self(self.0.with_tls(tls)))
    }

    /// SASL PLAIN. Use it with TLS only: it sends the password as it is.
    #[must_use]
    pub fn plain(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl(Mechanism::Plain, user.into(), password.into())
    }

    /// SASL SCRAM-SHA-256.
    #[must_use]
    pub fn scram_sha_256(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl(Mechanism::ScramSha256, user.into(), password.into())
    }

    /// SASL SCRAM-SHA-512.
    #[must_use]
    pub fn scram_sha_512(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl(Mechanism::ScramSha512, user.into(), password.into())
    }

    fn sasl(self, mechanism: Mechanism, user: String, password: String) -> Self {
        Self(self.0.with_sasl(Sasl::new(mechanism, user, password)))
    }

    pub(crate) fn into_inner(self) -> Security {
        self.0
    }
}

impl fmt::Debug for KafkaSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
