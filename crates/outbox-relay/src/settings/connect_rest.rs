use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::SettingsError;

/// The time that a worker may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A configuration is far smaller.
const LARGEST: usize = 4 << 20;
/// The port of Connect's workers, unless set otherwise.
const PORT: u16 = 8083;

/// A connector at a Kafka Connect worker, as `http://HOST:8083/connectors/NAME`.
pub(super) struct ConnectorUrl {
    authority: Authority,
    /// The part before the name.
    connectors: String,
    name: String,
}

impl ConnectorUrl {
    pub(super) fn parse(text: &str) -> Result<Self, SettingsError> {
        // The address is not shown, because it may hold a password.
        let wrong = |reason: &str| SettingsError::connect("the connector's address", reason);
        let form = "it is written http://HOST:8083/connectors/NAME";
        let uri: Uri = text.parse().map_err(|e| wrong(form).caused_by(e))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(wrong(
                    "https is not spoken here: fetch the configuration by other means, and name its file",
                ));
            }
            _ => return Err(wrong(form)),
        }

        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(|| wrong(form))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "a user and a password are not sent by plain http: fetch the configuration by other means",
            ));
        }

        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/config").filter(|path| !path.ends_with("/connectors")).unwrap_or(path);
        let (connectors, name) = path.rsplit_once('/').ok_or_else(|| wrong(form))?;
        if !connectors.ends_with("/connectors") || name.is_empty() {
            return Err(wrong(form));
        }
        Ok(Self { authority: authority.clone(), connectors: connectors.to_owned(), name: name.to_owned() })
    }

    /// Returns the configuration as the worker reports it: with placeholders as they were written.
    pub(super) async fn configuration(&self) -> Result<String, SettingsError> {
        let (status, body) = self.get(&format!("{}/{}/config", self.connectors, self.name)).await?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND => {
                Err(self.error(format!("there is no connector {}: {}", self.name, self.others().await)))
            }
            StatusCode::CONFLICT => Err(self.error("the workers are sharing out their work: try again in a minute")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.error("it wants to know who asks: fetch the configuration by other means, and name its file"))
            }
            status => Err(self.error(match message(&body) {
                Some(message) => format!("it answers {status}: {message}"),
                None => format!("it answers {status}"),
            })),
        }
    }

    async fn others(&self) -> String {
        let Ok((StatusCode::OK, body)) = self.get(&self.connectors).await else {
            return "it does not report which ones there are".to_owned();
        };
        match serde_json::from_str::<Vec<String>>(&body) {
            Ok(names) if names.is_empty() => "it has none".to_owned(),
            Ok(mut names) => {
                names.sort_unstable();
                format!("it has {}", names.join(", "))
            }
            Err(_) => "what answers is no Kafka Connect".to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, String), SettingsError> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(path)).await;
        let answer = answer.unwrap_or_else(|elapsed| Err(elapsed.into()));
        answer.map_err(|e| {
            self.error(
                "it does not answer: check host and port, or fetch the configuration by other means and name its file",
            )
            .caused_by(e)
        })
    }

    async fn exchange(&self, path: &str) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = outbox_net::connect(host, self.authority.port_u16().unwrap_or(PORT), PATIENCE).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(HOST, self.authority.as_str())
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
            Ok((status, String::from_utf8(body.into())?))
        };

        // The connection task ends after the answer.
        let mut answer = std::pin::pin!(answer);

        tokio::select! {
            answer = &mut answer => answer,
            closed = connection => match closed {
                Ok(()) => answer.await,
                Err(error) => Err(error.into()),
            },
        }
    }

    fn error(&self, what: impl Into<String>) -> SettingsError {
        SettingsError::connect(format!("Kafka Connect at {}", self.authority), what)
    }
}

/// Returns the reason that Connect gives for an error.
fn message(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body.get("message")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_error_is_its_message() {
        let body = r#"{"error_code":500,"message":"Request timed out."}"#;
        assert_eq!(message(body).as_deref(), Some("Request timed out."));
        assert_eq!(message("<html>"), None);
        assert_eq!(message("{}"), None);
    }

    #[test]
    fn addresses_of_connectors() {
        for text in ["http://connect:8083/connectors/outbox", "http://connect:8083/connectors/outbox/config/"] {
            let url = ConnectorUrl::parse(text).unwrap();
            assert_eq!((&*url.connectors, &*url.name), ("/connectors", "outbox"), "{text}");
        }

        let behind_a_proxy = ConnectorUrl::parse("http://[::1]/kafka/connectors/config").unwrap();
        assert_eq!((&*behind_a_proxy.connectors, &*behind_a_proxy.name), ("/kafka/connectors", "config"));

        for text in [
            "connect:8083/connectors/outbox",
            "http://connect:8083/connectors/",
            "http://connect:8083/outbox",
            "http://connect:8083",
            "ftp://connect/connectors/outbox",
            "https://connect/connectors/outbox",
            "http://me:hunter2@connect/connectors/outbox",
        ] {
            let error = ConnectorUrl::parse(text).map(|url| url.name).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
