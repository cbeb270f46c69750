use std::time::Duration;

use hyper::{Method, StatusCode};
use outbox_core::ConnectorConfig;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::http::{Answer, Http};
use super::state::ConnectorState;
use crate::exit::Failure;

const POLL: Duration = Duration::from_millis(200);
/// The time that a started connector must keep its state.
const STEADY: Duration = Duration::from_secs(3);
/// The time that a worker may reject requests because the workers share out their work again.
const REBALANCE: Duration = Duration::from_secs(30);

/// A client of Kafka Connect's REST API.
///
/// A worker stores most requests, and carries them out a little later.
pub(crate) struct Rest {
    http: Http,
}

impl Rest {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    /// Returns the version of the worker.
    pub(crate) async fn version(&self) -> Result<String, Failure> {
        let answer = self.accepted(&Method::GET, "/", None).await?;
        Ok(text(&answer, "version"))
    }

    /// Returns the classes of all plugins: connectors, converters and transformations.
    pub(crate) async fn plugins(&self) -> Result<Vec<String>, Failure> {
        let answer = self.accepted(&Method::GET, "/connector-plugins?connectorsOnly=false", None).await?;
        Ok(answer.as_array().into_iter().flatten().map(|plugin| text(plugin, "class")).collect())
    }

    /// Returns the states of all connectors, in the order of their names.
    pub(crate) async fn list(&self) -> Result<Vec<ConnectorState>, Failure> {
        let answer = self.accepted(&Method::GET, "/connectors?expand=status&expand=info", None).await?;
        let connectors = answer.as_object().into_iter().flatten();
        let mut states: Vec<_> = connectors
            .map(|(name, both)| {
                let class = both.pointer("/info/config/connector.class").and_then(Value::as_str);
                ConnectorState::new(name, class, both.get("status").unwrap_or(&Value::Null))
            })
            .collect();
        states.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(states)
    }

    /// Returns the state of a connector, or `None` if there is none yet: a worker creates it a moment after the
    /// connector.
    pub(crate) async fn status(&self, name: &str) -> Result<Option<ConnectorState>, Failure> {
        let answer = self.patiently(&Method::GET, &format!("{}/status", path(name)), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let status = self.body(answer)?;
        Ok(Some(ConnectorState::new(name, None, &status)))
    }

    /// Returns the configuration of a connector, or `None` if it does not exist.
    pub(crate) async fn config(&self, name: &str) -> Result<Option<ConnectorConfig>, Failure> {
        let answer = self.patiently(&Method::GET, &format!("{}/config", path(name)), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let json = self.body(answer)?.to_string();
        let config = ConnectorConfig::from_json(&json);
        config.map(Some).map_err(|e| Failure::server(format!("{} sent no configuration", self.http)).caused_by(&e))
    }

    /// Creates a connector, or replaces its configuration.
    pub(crate) async fn put_config(&self, name: &str, config: &ConnectorConfig) -> Result<(), Failure> {
        self.accepted(&Method::PUT, &format!("{}/config", path(name)), Some(&object(config))).await.map(drop)
    }

    /// Returns the errors that a connector class finds in a configuration, by key.
    pub(crate) async fn validate(
        &self,
        name: &str,
        config: &ConnectorConfig,
    ) -> Result<Vec<(String, String)>, Failure> {
        let Some(class) = config.get("connector.class") else {
            return Ok(vec![("connector.class".to_owned(), "it is missing".to_owned())]);
        };
        let simple = class.rsplit('.').next().unwrap_or(class);
        let config = object(&config.clone().with("name", name));
        let answer = self
            .accepted(&Method::PUT, &format!("/connector-plugins/{}/config/validate", segment(simple)), Some(&config))
            .await?;
        let configs = answer.get("configs").and_then(Value::as_array).into_iter().flatten();
        let errors = configs.filter_map(|config| config.get("value")).flat_map(|value| {
            let errors = value.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            errors.map(|error| (text(value, "name"), error.to_owned())).collect::<Vec<_>>()
        });
        Ok(errors.collect())
    }

    /// Pauses, resumes or stops a connector, by the last part of the path.
    pub(crate) async fn put(&self, name: &str, action: &str) -> Result<(), Failure> {
        self.accepted(&Method::PUT, &format!("{}/{action}", path(name)), None).await.map(drop)
    }

    /// Restarts a connector with its tasks.
    pub(crate) async fn restart(&self, name: &str, tasks: RestartedTasks) -> Result<(), Failure> {
        let only_failed = tasks == RestartedTasks::Failed;
        let path = format!("{}/restart?includeTasks=true&onlyFailed={only_failed}", path(name));
        self.accepted(&Method::POST, &path, None).await.map(drop)
    }

    /// Removes a connector, but not its offsets.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Failure> {
        self.accepted(&Method::DELETE, &path(name), None).await.map(drop)
    }

    /// Returns the source offsets of a connector: partitions with their offsets.
    pub(crate) async fn offsets(&self, name: &str) -> Result<Vec<(Value, Value)>, Failure> {
        let answer = self.accepted(&Method::GET, &format!("{}/offsets", path(name)), None).await?;
        let offsets = answer.get("offsets").and_then(Value::as_array).into_iter().flatten();
        let part = |one: &Value, name: &str| one.get(name).cloned().unwrap_or_default();
        Ok(offsets.map(|one| (part(one, "partition"), part(one, "offset"))).collect())
    }

    /// Removes the offsets of a stopped connector.
    pub(crate) async fn delete_offsets(&self, name: &str) -> Result<(), Failure> {
        self.accepted(&Method::DELETE, &format!("{}/offsets", path(name)), None).await.map(drop)
    }

    /// Waits until a state is reached, and returns it.
    ///
    /// # Errors
    /// It is not reached in time, or the worker does not answer.
    pub(crate) async fn wait(
        &self,
        name: &str,
        limit: Duration,
        wanted: &str,
        is_reached: impl Fn(&ConnectorState) -> bool,
    ) -> Result<ConnectorState, Failure> {
        self.wait_steady(name, limit, wanted, |state| is_reached(state).then_some(Duration::ZERO)).await
    }

    /// Waits until a connector runs or has failed, and keeps that state for a few seconds. A worker reports the former
    /// state for a moment, and a task that cannot read its slot runs at first.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub(crate) async fn wait_started(&self, name: &str, limit: Duration) -> Result<ConnectorState, Failure> {
        let is_reached = |state: &ConnectorState| (state.is_running() || state.is_failed()).then_some(STEADY);
        self.wait_steady(name, limit, "running", is_reached).await
    }

    /// Waits for a state that lasts. `reached` returns for how long a state must last, or `None` if the state is not
    /// the wanted one.
    async fn wait_steady(
        &self,
        name: &str,
        limit: Duration,
        wanted: &str,
        reached: impl Fn(&ConnectorState) -> Option<Duration>,
    ) -> Result<ConnectorState, Failure> {
        let deadline = Instant::now() + limit;
        let mut since = (String::new(), Instant::now());
        loop {
            let state = self.status(name).await?;
            let summary = state.as_ref().map_or_else(|| "without a state".to_owned(), ConnectorState::summary);
            if summary != since.0 {
                since = (summary, Instant::now());
            }

            match state {
                Some(state) if reached(&state).is_some_and(|steady| since.1.elapsed() >= steady) => return Ok(state),
                _ if Instant::now() >= deadline => {
                    let (seen, after) = (since.0, limit.as_secs());
                    return Err(Failure::server(format!(
                        "connector {name} is not {wanted} after {after} s, but {seen}: run outbox connector status {name}"
                    )));
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn accepted(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let answer = self.patiently(method, path, body).await?;
        self.body(answer)
    }

    /// Sends the request again while the worker cannot answer because of a rebalance.
    async fn patiently(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let deadline = Instant::now() + REBALANCE;
        loop {
            let answer = self.http.send(method, path, body).await?;
            // The status is 409 or 500, depending on the request.
            let is_rebalance = !answer.status.is_success() && message(&answer.body).contains("rebalance");
            if !is_rebalance || Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the JSON of an answer, or the failure that its status means to the operator.
    fn body(&self, answer: Answer) -> Result<Value, Failure> {
        let Answer { status, text, body } = answer;
        if status.is_success() {
            // Some requests have an empty answer.
            return match body.is_null() && !text.is_empty() {
                true => Err(Failure::server(format!(
                    "{} sent no JSON ({status}): check --connect-url, another server or a proxy may be at this address",
                    self.http
                ))),
                false => Ok(body),
            };
        }

        let reason = message(&body);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::server(format!(
                "{} rejects the login ({status}): check --connect-user and its password",
                self.http
            )),
            StatusCode::NOT_FOUND => Failure::not_found(format!("{}: {reason}", self.http)),
            _ => Failure::server(format!("{} rejected the request ({status}): {reason}", self.http)),
        })
    }
}

/// Which tasks a restart concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartedTasks {
    All,
    Failed,
}

fn message(body: &Value) -> &str {
    body.get("message").and_then(Value::as_str).unwrap_or("it gave no reason")
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn object(config: &ConnectorConfig) -> Value {
    config.iter().map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

fn path(name: &str) -> String {
    format!("/connectors/{}", segment(name))
}

/// Encodes a segment of a path: names of connectors may hold any character.
fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_connectors_are_encoded() {
        assert_eq!(path("outbox-connector"), "/connectors/outbox-connector");
        assert_eq!(path("a/b c?é"), "/connectors/a%2Fb%20c%3F%C3%A9");
    }
}
