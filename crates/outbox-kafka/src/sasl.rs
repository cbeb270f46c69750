use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::error::{Error, Kind};
use super::scram::{Hash, Scram};
use super::{ErrorCode, api::Api};

/// A SASL mechanism that proves a user with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`, which sends the password as it is.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A user and a password. `Debug` does not show the password.
#[derive(Clone)]
pub struct Sasl {
    mechanism: Mechanism,
    user: String,
    password: String,
}

impl Sasl {
    /// Creates the credentials of a user.
    pub fn new(mechanism: Mechanism, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { mechanism, user: user.into(), password: password.into() }
    }

    /// Tells the broker who we are; it says for how long that holds, if not for good.
    pub(super) async fn log_in(&self, connection: &Connection) -> Result<Option<Duration>, Error> {
        let handshake =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(self.mechanism.name()));
        let answer = connection.request(&handshake).await?;
        if let Some(code) = ErrorCode::of(answer.error_code) {
            let offered: Vec<_> = answer.mechanisms.iter().map(|name| name.as_str()).collect();
            let told = format!("the broker offers {}", offered.join(", "));
            let cause = Error::code_of(code, Some(&told)).by(SaslHandshakeRequest::NAME);
            return Err(Error::new(Kind::Login).because(cause));
        }
        let hash = match self.mechanism {
            Mechanism::Plain => {
                let text = format!("\0{}\0{}", self.user, self.password);
                return exchange(connection, text).await.map(|(_, lifetime)| lifetime);
            }
            Mechanism::ScramSha256 => Hash::Sha256,
            Mechanism::ScramSha512 => Hash::Sha512,
        };
        let scram = Scram::new(hash, &self.user, &self.password).map_err(login)?;
        let (first, _) = exchange(connection, scram.first()).await?;
        let (last, expected) = scram.last(&first).map_err(login)?;
        let (proof, lifetime) = exchange(connection, last).await?;
        expected.verify(&proof).map_err(login)?;
        Ok(lifetime)
    }
}

fn login(cause: &'static str) -> Error {
    Error::new(Kind::Login).because(cause)
}

async fn exchange(connection: &Connection, text: String) -> Result<(Bytes, Option<Duration>), Error> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(text.into());
    let answer = connection.request(&request).await?;
    match ErrorCode::of(answer.error_code) {
        None => {
            let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|lifetime| *lifetime > 0);
            Ok((answer.auth_bytes, lifetime.map(Duration::from_millis)))
        }
        Some(code) => {
            let cause = Error::code_of(code, answer.error_message.as_deref()).by(SaslAuthenticateRequest::NAME);
            Err(Error::new(Kind::Login).because(cause))
        }
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanism", &self.mechanism).field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let security = super::super::Security::default().with_sasl(Sasl::new(Mechanism::Plain, "relay", "s3cret"));
        let shown = format!("{security:?}");
        assert!(shown.contains("relay") && !shown.contains("s3cret"), "{shown}");
    }
}
