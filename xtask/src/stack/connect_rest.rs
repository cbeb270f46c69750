use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::StackError;
use super::http::{Answer, JsonHttp};

const POLL: Duration = Duration::from_millis(100);
/// The time that a worker may answer 409 because it is sharing out its work again.
const REBALANCE: Duration = Duration::from_secs(120);

/// A small client for Kafka Connect's REST API.
///
/// The worker stores a request and carries it out a little later: [`status`](Self::status) may report the former state
/// for a moment.
#[derive(Debug, Clone)]
pub struct ConnectRest {
    http: JsonHttp,
    url: String,
}

impl ConnectRest {
    /// Creates a client for the worker at `url`, such as `http://127.0.0.1:18083`.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self { http: JsonHttp::new(url.clone(), Duration::from_secs(90)), url }
    }

    /// Creates a connector or changes its configuration; returns as soon as it is stored.
    pub fn put_config(&self, name: &str, config: &Value) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/config");
        self.accepted("configure", name, || self.http.put(&path, config)).map(drop)
    }

    /// Creates a connector that is stopped: it has a configuration and no tasks.
    pub fn create_stopped(&self, name: &str, config: &Value) -> Result<(), StackError> {
        let connector = serde_json::json!({ "name": name, "config": config, "initial_state": "STOPPED" });
        self.accepted("create", name, || self.http.post("/connectors", &connector)).map(drop)
    }

    /// Returns the states of the connector and of its tasks, as the worker reports them.
    pub fn status(&self, name: &str) -> Result<Value, StackError> {
        let path = format!("/connectors/{name}/status");
        self.accepted("look at", name, || self.http.get(&path))
    }

    /// Returns what the worker answers to a GET, such as `/` for its version.
    pub fn get(&self, path: &str) -> Result<Value, StackError> {
        self.accepted("get", path, || self.http.get(path))
    }

    /// Waits until the connector and all of its tasks are running, at least one.
    ///
    /// A failed connector or task is an error at once, which holds its stack trace. If an
    /// earlier configuration under this name had failed, its state may still be seen: delete
    /// such a connector before it is configured again.
    pub fn wait_running(&self, name: &str, timeout: Duration) -> Result<(), StackError> {
        let deadline = Instant::now() + timeout;
        let path = format!("/connectors/{name}/status");
        loop {
            let answer = self.send("look at", name, || self.http.get(&path))?;
            // Between the storing of a configuration and the start, there is no status.
            if answer.status != 404 {
                let status = answer.into_body("look at", name, &self.url)?;
                if let Some(trace) = failure(&status) {
                    return Err(StackError::new(format!(
                        "connector {name} failed; repair its configuration or what it connects \
                         to. Its trace:\n{trace}"
                    )));
                }
                if is_running(&status) {
                    return Ok(());
                }
            }

            if Instant::now() >= deadline {
                return Err(StackError::new(format!(
                    "connector {name} did not run within {} s; GET {}{path} and the worker's \
                     log says why",
                    timeout.as_secs(),
                    self.url
                )));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Removes a connector; one that does not exist is removed already. Its offsets stay.
    pub fn delete(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}");
        let answer = self.patiently("delete", name, || self.http.delete(&path))?;
        if answer.status == 404 {
            return Ok(());
        }
        answer.into_body("delete", name, &self.url).map(drop)
    }

    /// Validates a configuration by the connector class, without using it. The configuration needs a `name` for this.
    pub fn validate(&self, class: &str, config: &Value) -> Result<Value, StackError> {
        let path = format!("/connector-plugins/{class}/config/validate");
        self.accepted("validate a configuration for", class, || self.http.put(&path, config))
    }

    /// Stops a connector: it keeps its configuration and offsets, but has no tasks.
    pub fn stop(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/stop");
        self.accepted("stop", name, || self.http.put_empty(&path)).map(drop)
    }

    /// Pauses a connector: its tasks stay where they are and read nothing.
    pub fn pause(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/pause");
        self.accepted("pause", name, || self.http.put_empty(&path)).map(drop)
    }

    /// Continues after [`stop`](Self::stop) or [`pause`](Self::pause).
    pub fn resume(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/resume");
        self.accepted("resume", name, || self.http.put_empty(&path)).map(drop)
    }

    /// Makes a connector forget how far it has read; it has to be [stopped](Self::stop).
    pub fn delete_offsets(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/offsets");
        self.accepted("delete the offsets of", name, || self.http.delete(&path)).map(drop)
    }

    /// Restarts a connector with its tasks.
    pub fn restart(&self, name: &str) -> Result<(), StackError> {
        let path = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed=false");
        self.accepted("restart", name, || self.http.post_empty(&path)).map(drop)
    }

    fn accepted(
        &self,
        action: &str,
        name: &str,
        request: impl Fn() -> Result<Answer, ureq::Error>,
    ) -> Result<Value, StackError> {
        self.patiently(action, name, request)?.into_body(action, name, &self.url)
    }

    /// Asks again while the worker says that it cannot know just now.
    fn patiently(
        &self,
        action: &str,
        name: &str,
        request: impl Fn() -> Result<Answer, ureq::Error>,
    ) -> Result<Answer, StackError> {
        let deadline = Instant::now() + REBALANCE;
        loop {
            let answer = self.send(action, name, &request)?;
            if answer.status != 409 || Instant::now() >= deadline {
                return Ok(answer);
            }
            std::thread::sleep(POLL);
        }
    }

    fn send(
        &self,
        action: &str,
        name: &str,
        request: impl Fn() -> Result<Answer, ureq::Error>,
    ) -> Result<Answer, StackError> {
        request().map_err(|error| {
            StackError::caused(format!("cannot {action} {name}: Kafka Connect at {} does not answer", self.url), error)
        })
    }
}

impl Answer {
    fn into_body(self, action: &str, name: &str, url: &str) -> Result<Value, StackError> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let reason = match self.body.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => self.body.to_string(),
        };
        Err(StackError::new(format!("Kafka Connect at {url} refused to {action} {name} ({}): {reason}", self.status)))
    }
}

fn failure(status: &Value) -> Option<&str> {
    parts(status)
        .find(|part| state(part) == Some("FAILED"))
        .map(|part| part.get("trace").and_then(Value::as_str).unwrap_or("(the worker gave none)"))
}

fn is_running(status: &Value) -> bool {
    parts(status).count() > 1 && parts(status).all(|part| state(part) == Some("RUNNING"))
}

/// Returns the connector and each of its tasks.
fn parts(status: &Value) -> impl Iterator<Item = &Value> {
    let tasks = status.get("tasks").and_then(Value::as_array);
    status.get("connector").into_iter().chain(tasks.into_iter().flatten())
}

fn state(part: &Value) -> Option<&str> {
    part.get("state").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connector_without_tasks_is_not_running() {
        let connector = json!({ "state": "RUNNING" });
        assert!(!is_running(&json!({ "connector": connector, "tasks": [] })));
        assert!(!is_running(&json!({
            "connector": connector, "tasks": [{ "state": "UNASSIGNED" }]
        })));
        assert!(is_running(&json!({
            "connector": connector, "tasks": [{ "state": "RUNNING" }]
        })));
    }

    #[test]
    fn the_trace_of_the_task_that_failed_is_found() {
        let status = json!({
            "connector": { "state": "RUNNING" },
            "tasks": [{ "state": "RUNNING" }, { "state": "FAILED", "trace": "because" }]
        });
        assert_eq!(failure(&status), Some("because"));
    }
}
