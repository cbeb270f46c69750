use serde::Serialize;
use serde_json::Value;

use super::trace::first_meaningful_line;

/// The state of a connector and its tasks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConnectorState {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    state: String,
    worker: String,
    error: Option<String>,
    #[serde(skip)]
    trace: Option<String>,
    tasks: Vec<TaskState>,
}

/// The state of one task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskState {
    pub(crate) id: u64,
    pub(crate) state: String,
    pub(crate) worker: String,
    /// The line of the trace that names the cause.
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) trace: Option<String>,
}

impl ConnectorState {
    /// Reads the answer of `GET /connectors/NAME/status`.
    pub(super) fn new(name: &str, class: Option<&str>, status: &Value) -> Self {
        let text = |part: &Value, key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let trace = |part: &Value| part.get("trace").and_then(Value::as_str).map(str::to_owned);
        let error = |part: &Value| trace(part).as_deref().and_then(first_meaningful_line);
        let connector = status.get("connector").unwrap_or(&Value::Null);
        let tasks = status.get("tasks").and_then(Value::as_array).into_iter().flatten();

        Self {
            name: name.to_owned(),
            class: class.map(str::to_owned),
            state: text(connector, "state"),
            worker: text(connector, "worker_id"),
            error: error(connector),
            trace: trace(connector),
            tasks: tasks
                .map(|task| TaskState {
                    id: task.get("id").and_then(Value::as_u64).unwrap_or_default(),
                    state: text(task, "state"),
                    worker: text(task, "worker_id"),
                    error: error(task),
                    trace: trace(task),
                })
                .collect(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(crate) fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    pub(crate) fn tasks(&self) -> &[TaskState] {
        &self.tasks
    }

    /// Returns whether the connector or one of its tasks has failed.
    pub(crate) fn is_failed(&self) -> bool {
        self.state == "FAILED" || self.tasks.iter().any(|task| task.state == "FAILED")
    }

    /// Returns whether the connector and all of its tasks run, at least one.
    pub(crate) fn is_running(&self) -> bool {
        self.state == "RUNNING" && !self.tasks.is_empty() && self.tasks.iter().all(|task| task.state == "RUNNING")
    }

    /// Returns whether the connector and its tasks have a state.
    pub(crate) fn is_all(&self, state: &str) -> bool {
        self.state == state && self.tasks.iter().all(|task| task.state == state)
    }

    /// Returns whether the connector needs no action: it runs, or an operator has paused or stopped it.
    pub(crate) fn is_good(&self) -> bool {
        self.is_running() || self.is_all("PAUSED") || self.is_all("STOPPED")
    }

    /// Returns the number of running tasks and the number of all tasks, such as `1/1`.
    pub(crate) fn running_tasks(&self) -> String {
        let running = self.tasks.iter().filter(|task| task.state == "RUNNING").count();
        format!("{running}/{}", self.tasks.len())
    }

    /// Returns the error of the connector, or of its first failed task.
    pub(crate) fn first_error(&self) -> Option<&str> {
        self.error().or_else(|| self.tasks.iter().find_map(|task| task.error.as_deref()))
    }

    /// Returns states and error in a few words.
    pub(crate) fn summary(&self) -> String {
        let counted = format!("{}, {} tasks running", self.state, self.running_tasks());
        self.first_error().map_or(counted.clone(), |error| format!("{counted}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connector_without_tasks_does_not_run() {
        let state =
            |tasks: Value| ConnectorState::new("c", None, &json!({"connector": {"state": "RUNNING"}, "tasks": tasks}));
        assert!(!state(json!([])).is_running());
        assert!(!state(json!([{"id": 0, "state": "UNASSIGNED"}])).is_good());
        assert!(state(json!([{"id": 0, "state": "RUNNING"}])).is_good());
        let failed = state(json!([{"id": 0, "state": "FAILED", "trace": "a.B: because\n\tat x"}]));
        assert!(failed.is_failed() && !failed.is_good());
        assert_eq!(failed.summary(), "RUNNING, 0/1 tasks running: B: because");
    }
}
