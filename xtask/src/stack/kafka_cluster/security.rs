use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The way in which clients reach a listener (`security.protocol`), and what they must present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerSecurity {
    /// `PLAINTEXT`.
    Plaintext,
    /// `SSL`.
    Ssl,
    /// `SSL`, and clients must present a certificate of the cluster's authority.
    MutualSsl,
    /// `SASL_PLAINTEXT` with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER.
    SaslPlaintext,
    /// `SASL_SSL` with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER.
    SaslSsl,
}

/// A user who can log in with PLAIN and both mechanisms of SCRAM.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

const LOGIN: &str = "org.apache.kafka.common.security";
/// The callback handler that accepts unsigned tokens. It is part of Kafka, for tests.
const VALIDATOR: &str =
    "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler";
pub(super) const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

impl ListenerSecurity {
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl | Self::MutualSsl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Returns the lines of `server.properties` for a listener of this kind.
    pub(super) fn properties(self, listener: &str, users: &[User]) -> Vec<(String, String)> {
        let listener = format!("listener.name.{}", listener.to_lowercase());
        match self {
            Self::Plaintext | Self::Ssl => Vec::new(),
            Self::MutualSsl => vec![(format!("{listener}.ssl.client.auth"), "required".to_owned())],
            Self::SaslPlaintext | Self::SaslSsl => {
                let scram = format!("{LOGIN}.scram.ScramLoginModule required;");
                // The broker would use the claims of the module to log in elsewhere, which it never does.
                let bearer = format!(
                    "{LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
                );
                [
                    ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned()),
                    ("plain.sasl.jaas.config", plain(users)),
                    ("scram-sha-256.sasl.jaas.config", scram.clone()),
                    ("scram-sha-512.sasl.jaas.config", scram),
                    ("oauthbearer.sasl.jaas.config", bearer),
                    ("oauthbearer.sasl.server.callback.handler.class", VALIDATOR.to_owned()),
                ]
                .into_iter()
                .map(|(name, value)| (format!("{listener}.{name}"), value))
                .collect()
            }
        }
    }
}

fn plain(users: &[User]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let users: String =
        users.iter().map(|user| format!(" user_{}=\"{}\"", user.name, quoted(&user.password))).collect();
    format!("{LOGIN}.plain.PlainLoginModule required{users};")
}

/// Returns an unsigned JSON Web Token for `subject`, as the clusters' SASL listeners accept it for OAUTHBEARER.
///
/// It expires after `lifetime`; with [`Duration::ZERO`], it has expired.
pub fn unsecured_token(subject: &str, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Issued in the past, so that the time of expiry is always after it.
    let issued = now.saturating_sub(Duration::from_secs(60));
    let claims = serde_json::json!({
        "sub": subject,
        "iat": issued.as_secs(),
        "exp": (now + lifetime).as_secs_f64(),
    });
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
