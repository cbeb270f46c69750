use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use outbox_net::{Secret, SecretSource};
use serde_json::Value;

use crate::error::{Error, Kind};

/// A bearer token (RFC 6750) and the time at which it expires. `Debug` does not show the token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Token {
    text: Secret,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// Creates a token. If it is a JWT, it expires at its claim `exp`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        let text = Secret::new(text);
        let expires_at = expiry_of_jwt(text.expose());
        Self { text, expires_at }
    }

    /// Sets the time at which the token expires.
    pub fn expires_at(self, time: SystemTime) -> Self {
        Self { expires_at: Some(time), ..self }
    }

    /// Reads the output of a command or a file: a token, or the JSON answer of an OAuth token endpoint (RFC 6749,
    /// section 5.1).
    fn parse(output: &str, now: SystemTime) -> Self {
        let output = output.trim();
        let answer: Option<Value> = output.starts_with('{').then(|| serde_json::from_str(output).ok()).flatten();
        let Some((answer, text)) =
            answer.as_ref().and_then(|answer| Some((answer, answer.get("access_token")?.as_str()?)))
        else {
            return Self::new(output);
        };
        let token = Self::new(text);
        match answer.get("expires_in").and_then(Value::as_u64).and_then(|s| now.checked_add(Duration::from_secs(s))) {
            Some(time) => token.expires_at(time),
            None => token,
        }
    }

    pub(crate) fn text(&self) -> &Secret {
        &self.text
    }

    /// Returns how long ago the token has expired, by this host's clock.
    pub(crate) fn expired_for(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.expires_at?).ok()
    }
}

/// Returns the claim `exp` of a JSON Web Token (RFC 7519), in seconds since 1970. The signature is for the broker to
/// check.
fn expiry_of_jwt(text: &str) -> Option<SystemTime> {
    let claims = text.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    let seconds = Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

/// A source of tokens. It returns the last token as long as less than 80 % of the token's time are over, as Kafka's own
/// clients do (`sasl.login.refresh.window.factor`); a file is read each time.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    from: Origin,
    last: tokio::sync::Mutex<Option<Kept>>,
}

enum Origin {
    File(SecretSource),
    Command(SecretSource),
    Callback(Box<Callback>),
}

type Callback = dyn Fn() -> BoxFuture<'static, Result<Token, Box<dyn StdError + Send + Sync>>> + Send + Sync;

struct Kept {
    token: Token,
    until: SystemTime,
}

/// The part of a token's time after which a new one is asked for.
const REFRESH_WINDOW: f64 = 0.8;

impl TokenSource {
    /// Creates a source that calls a function.
    pub fn callback<F, R>(function: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Token, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        Self::new(Origin::Callback(Box::new(move || Box::pin(function()))))
    }

    /// Creates a source that reads a file, which holds a token or the JSON answer of an OAuth token endpoint.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(SecretSource::file(path)))
    }

    /// Creates a source that runs a command line with `sh -c`, which prints a token or the JSON answer of an OAuth
    /// token endpoint.
    pub fn command(line: impl Into<Box<str>>) -> Self {
        Self::new(Origin::Command(SecretSource::command(line)))
    }

    fn new(from: Origin) -> Self {
        Self(Arc::new(Inner { from, last: tokio::sync::Mutex::new(None) }))
    }

    /// Returns a token that has not expired, if the source has one.
    ///
    /// # Errors
    /// The source fails.
    pub async fn token(&self) -> Result<Token, Error> {
        let mut last = self.0.last.lock().await;
        let now = outbox_net::wall_clock();
        if let Some(kept) = last.as_ref().filter(|kept| now < kept.until) {
            return Ok(kept.token.clone());
        }

        *last = None;
        let failed = |e: outbox_net::Error| Error::new(Kind::Security).because(e);
        let token = match &self.0.from {
            Origin::File(file) => return Ok(Token::parse(file.read().await.map_err(failed)?.expose(), now)),
            Origin::Command(command) => Token::parse(command.read().await.map_err(failed)?.expose(), now),
            Origin::Callback(function) => function().await.map_err(|e| Error::new(Kind::Token).because(e))?,
        };
        let left = token.expires_at.and_then(|expires| expires.duration_since(now).ok());

        if let Some(until) = left.and_then(|left| now.checked_add(left.mul_f64(REFRESH_WINDOW))) {
            *last = Some(Kept { token: token.clone(), until });
        }
        Ok(token)
    }

    /// Discards the last token, because a broker has rejected it.
    pub(crate) async fn forget(&self) {
        *self.0.last.lock().await = None;
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.from {
            Origin::File(source) | Origin::Command(source) => source.fmt(f),
            Origin::Callback(_) => f.write_str("Callback"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn jwt(claims: &str) -> String {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_knows_when_it_expires() {
        assert_eq!(Token::new(jwt(r#"{"sub":"relay","exp":1700000000}"#)).expires_at, Some(at(1_700_000_000)));
        for opaque in ["opaque", "a.b.c", &jwt("{}"), &jwt(r#"{"exp":-1}"#), &jwt(r#"{"exp":1e300}"#)] {
            assert_eq!(Token::new(opaque).expires_at, None, "{opaque}");
        }
        let answer =
            Token::parse(" {\"access_token\": \"abc\", \"expires_in\": 60, \"token_type\": \"Bearer\"}\n", at(100));
        assert_eq!((answer.text.expose(), answer.expires_at), ("abc", Some(at(160))));
        assert_eq!(Token::parse("abc\n", at(0)).text.expose(), "abc");
        assert_eq!(Token::new("abc").expires_at(at(5)).expired_for(at(8)), Some(Duration::from_secs(3)));
        assert!(!format!("{:?}", Token::new("hunter2")).contains("hunter2"));
    }

    #[tokio::test]
    async fn a_token_is_kept_until_most_of_its_time_is_over() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let lasting = |time: Duration| {
            TokenSource::callback(move || async move {
                let call = CALLS.fetch_add(1, Ordering::Relaxed);
                Ok(Token::new(format!("token {call}")).expires_at(SystemTime::now() + time))
            })
        };
        let long = lasting(Duration::from_secs(3600));
        let first = long.token().await.unwrap();
        assert_eq!(long.token().await.unwrap(), first);
        long.forget().await;
        assert_ne!(long.token().await.unwrap(), first);
        let short = lasting(Duration::ZERO);
        assert_ne!(short.token().await.unwrap(), short.token().await.unwrap());

        let failing = TokenSource::callback(|| async { Err("no answer".into()) });
        let error = failing.token().await.unwrap_err();
        assert!(error.is_authentication() && !error.is_transient(), "{error}");
    }
}
