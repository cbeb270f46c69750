use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Once};

use outbox_net::{Secret, SecretSource};

use super::TokenSource;
use super::error::{Error, Kind};

/// A SASL mechanism of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN`, which sends the password as it is.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
    /// `OAUTHBEARER`, which sends a token as it is.
    OAuthBearer,
}

impl Mechanism {
    /// Returns the name of Kafka's property `sasl.mechanism`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

/// A login by SASL: a user with a password, or a source of tokens. `Debug` shows neither password nor token.
#[derive(Clone)]
#[must_use]
pub struct Sasl {
    method: Method,
    warned: Arc<Once>,
}

#[derive(Clone)]
pub(super) enum Method {
    Password { mechanism: Mechanism, user: String, password: SecretSource },
    Token { tokens: TokenSource, extensions: BTreeMap<String, String> },
}

/// The credentials of one login. `Debug` does not show the secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The user; empty for `OAUTHBEARER`, whose token names the user.
    pub user: String,
    /// The password, or the token.
    pub secret: Secret,
    /// The SASL extensions that go with a token (KIP-342).
    pub extensions: BTreeMap<String, String>,
}

impl Sasl {
    /// Creates a login by `PLAIN`. Use it with TLS, because it sends the password as it is.
    pub fn plain(user: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        Self::password(Mechanism::Plain, user.into(), password.into())
    }

    /// Creates a login by `SCRAM-SHA-256`.
    pub fn scram_sha_256(user: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        Self::password(Mechanism::ScramSha256, user.into(), password.into())
    }

    /// Creates a login by `SCRAM-SHA-512`.
    pub fn scram_sha_512(user: impl Into<String>, password: impl Into<SecretSource>) -> Self {
        Self::password(Mechanism::ScramSha512, user.into(), password.into())
    }

    /// Creates a login by `OAUTHBEARER`. Use it with TLS, because it sends the token as it is.
    pub fn oauth_bearer(tokens: TokenSource) -> Self {
        Self::by(Method::Token { tokens, extensions: BTreeMap::new() })
    }

    /// Adds a SASL extension that is sent with each token, such as `logicalCluster` (KIP-342).
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Method::Token { extensions, .. } = &mut self.method {
            extensions.insert(name.into(), value.into());
        }
        self
    }

    pub(crate) fn password(mechanism: Mechanism, user: String, password: SecretSource) -> Self {
        Self::by(Method::Password { mechanism, user, password })
    }

    fn by(method: Method) -> Self {
        Self { method, warned: Arc::new(Once::new()) }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn mechanism(&self) -> Mechanism {
        match &self.method {
            Method::Password { mechanism, .. } => *mechanism,
            Method::Token { .. } => Mechanism::OAuthBearer,
        }
    }

    /// Returns the present credentials.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Error> {
        let mechanism = self.mechanism();
        Ok(match &self.method {
            Method::Password { user, password, .. } => {
                let secret = password.read().await.map_err(|e| Error::new(Kind::Security).because(e))?;
                Credentials { mechanism, user: user.clone(), secret, extensions: BTreeMap::new() }
            }
            Method::Token { tokens, extensions } => {
                let secret = tokens.token().await?.text().clone();
                Credentials { mechanism, user: String::new(), secret, extensions: extensions.clone() }
            }
        })
    }

    /// Logs a warning, once for this login, that its secrets cross the network unencrypted.
    pub(super) fn warn_without_tls(&self, broker: &str) {
        self.warned.call_once(|| {
            let mechanism = self.mechanism().name();
            tracing::warn!(
                target: "outbox.kafka", broker, mechanism,
                "login to Kafka without TLS: others on the network can read or attack the credentials"
            );
        });
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sasl");
        shown.field("mechanism", &self.mechanism());
        match &self.method {
            Method::Password { user, password, .. } => shown.field("user", user).field("password", password),
            Method::Token { tokens, .. } => shown.field("tokens", tokens),
        };
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Security;

    #[test]
    fn a_password_is_not_shown() {
        let security = Security::new().sasl(Sasl::plain("relay", "s3cret"));
        let shown = format!("{security:?}");
        assert!(shown.contains("relay") && !shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test]
    async fn credentials_are_read_again() {
        let path = std::env::temp_dir().join(format!("outbox-kafka-password-{}", std::process::id()));
        let security = Security::new().sasl(Sasl::scram_sha_256("relay", SecretSource::file(&path)));
        for password in ["first", "second"] {
            std::fs::write(&path, password).unwrap();
            let credentials = security.credentials().await.unwrap().unwrap();
            assert_eq!((credentials.user.as_str(), credentials.secret.expose()), ("relay", password));
            assert!(!format!("{credentials:?}").contains(password));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(security.credentials().await.unwrap_err().is_authentication());
        assert!(Security::new().credentials().await.unwrap().is_none());
        assert!(Security::new().client_config().await.unwrap().is_none());
    }
}
