//! The login of a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::connection::Connection;
use super::error::{Error, Kind};
use super::sasl::{Mechanism, Method, Sasl};
use super::scram::{Hash, Scram};
use super::{ErrorCode, Token};

/// Logs in. Returns the time for which the broker accepts the login, if it is limited (KIP-368).
pub(super) async fn log_in(sasl: &Sasl, connection: &Connection) -> Result<Option<Duration>, Error> {
    let mechanism = sasl.mechanism();
    let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism.name()));
    let answer = connection.request(&handshake).await?;
    if let Some(code) = ErrorCode::from_code(answer.error_code) {
        let offered: Vec<_> = answer.mechanisms.iter().map(|name| name.as_str()).collect();
        let kind = match code {
            ErrorCode::ILLEGAL_SASL_STATE => Kind::NoLoginHere,
            _ => Kind::Mechanism { wanted: mechanism.name(), offered: offered.join(", ").into() },
        };
        return Err(Error::new(kind).because(Error::code_of(code, None).by(SaslHandshakeRequest::NAME)));
    }

    match sasl.method() {
        Method::Password { mechanism, user, password } => {
            let password = password.read().await.map_err(|e| Error::new(Kind::Security).because(e))?;
            let hash = match mechanism {
                Mechanism::ScramSha256 => Hash::Sha256,
                Mechanism::ScramSha512 => Hash::Sha512,
                Mechanism::Plain | Mechanism::OAuthBearer => {
                    let text = format!("\0{user}\0{}", password.expose());
                    return exchange(connection, text, *mechanism).await.map(|(_, lifetime)| lifetime);
                }
            };
            prove(connection, *mechanism, hash, user, password.expose()).await
        }
        Method::Token { tokens, extensions } => {
            let token = tokens.token().await?;
            let shown = show(connection, &token, extensions).await;
            if shown.is_err() {
                tokens.forget().await;
            }
            shown
        }
    }
}

/// Proves a password by SCRAM.
async fn prove(
    connection: &Connection,
    mechanism: Mechanism,
    hash: Hash,
    user: &str,
    password: &str,
) -> Result<Option<Duration>, Error> {
    let failed = |cause: &'static str| Error::new(Kind::Login(mechanism.name())).because(cause);
    let scram = Scram::new(hash, user, password).map_err(failed)?;
    let (first, _) = exchange(connection, scram.first(), mechanism).await?;
    let (last, expected) = scram.last(&first).map_err(failed)?;
    let (proof, lifetime) = exchange(connection, last, mechanism).await?;
    expected.verify(&proof).map_err(failed)?;
    Ok(lifetime)
}

/// Shows a token (RFC 7628).
async fn show(
    connection: &Connection,
    token: &Token,
    extensions: &BTreeMap<String, String>,
) -> Result<Option<Duration>, Error> {
    let mut text = format!("n,,\u{1}auth=Bearer {}\u{1}", token.text().expose());
    for (name, value) in extensions {
        text.push_str(&format!("{name}={value}\u{1}"));
    }
    text.push('\u{1}');

    let mechanism = Mechanism::OAuthBearer;
    let shown = match exchange(connection, text, mechanism).await {
        Ok((reason, lifetime)) if reason.is_empty() => return Ok(lifetime),
        // The broker gives the reason as JSON, and fails the login after the client has acknowledged it.
        Ok((reason, _)) => {
            let acknowledged = exchange(connection, "\u{1}".to_owned(), mechanism).await;
            let cause = acknowledged.err().unwrap_or_else(|| Error::new(Kind::Login(mechanism.name())));
            let reason = String::from_utf8_lossy(&reason).into_owned();
            Error::new(Kind::Login(mechanism.name())).because(Rejected { reason, cause })
        }
        Err(e) => e,
    };
    Err(match token.expired_for(outbox_net::wall_clock()) {
        Some(time) if shown.is_authentication() => Error::new(Kind::TokenExpired(time)).because(shown),
        _ => shown,
    })
}

async fn exchange(
    connection: &Connection,
    text: String,
    mechanism: Mechanism,
) -> Result<(Bytes, Option<Duration>), Error> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(text.into());
    let answer = connection.request(&request).await?;
    match ErrorCode::from_code(answer.error_code) {
        None => {
            let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|lifetime| *lifetime > 0);
            Ok((answer.auth_bytes, lifetime.map(Duration::from_millis)))
        }
        Some(code) => {
            let cause = Error::code_of(code, answer.error_message.as_deref()).by(SaslAuthenticateRequest::NAME);
            Err(Error::new(Kind::Login(mechanism.name())).because(cause))
        }
    }
}

/// A broker's reason to reject a token.
#[derive(Debug, thiserror::Error)]
#[error("the broker gives the reason {reason:?}")]
struct Rejected {
    reason: String,
    #[source]
    cause: Error,
}
