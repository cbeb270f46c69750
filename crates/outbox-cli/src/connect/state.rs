use serde::Serialize;
use serde_json::Value;

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

/// Returns the line of a Java stack trace that says what is wrong: the innermost cause that has a message.
///
/// The outer ones are those of Connect's loop ("An exception occurred in the change event producer. This connector will
/// be stopped."). The package of the exception's class is left out.
fn first_meaningful_line(trace: &str) -> Option<String> {
    innermost_cause(trace).map(|line| without_states(&line))
}

/// The longest text in brackets that a line of a table has room for, in characters.
const LONGEST_STATE: usize = 60;

/// Removes the state that Debezium prints in brackets, because it hides the end of the sentence.
fn without_states(line: &str) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    while let Some(open) = rest.find('[') {
        let (before, inside) = rest.split_at(open);
        let mut depth = 0_usize;
        let close = inside.char_indices().find_map(|(place, char)| {
            match char {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth == 0).then_some(place + 1)
        });
        let Some((state, after)) = close.and_then(|close| inside.split_at_checked(close)) else { break };

        shown.push_str(before);
        shown.push_str(if state.chars().count() > LONGEST_STATE { "[…]" } else { state });
        rest = after;
    }
    shown + rest
}

/// Returns the class without its package and the message of the innermost cause in a Java stack trace. The outer causes
/// are wrappers, which say only that the task failed.
fn innermost_cause(trace: &str) -> Option<String> {
    let causes = trace.lines().filter(|line| !line.starts_with(char::is_whitespace));
    let causes = causes.map(|line| line.strip_prefix("Caused by: ").unwrap_or(line).trim());
    let causes: Vec<_> = causes.filter(|line| !line.is_empty() && !line.starts_with("Suppressed:")).collect();
    let is_class = |word: &str| word.contains('.') && !word.contains(char::is_whitespace);

    // A message may have several lines, such as the hint of PostgreSQL: only those that begin with a class are causes.
    let split = |line: &str| -> Option<(String, String)> {
        let (class, message) = line.split_once(": ").unwrap_or((line, ""));
        is_class(class).then(|| (class.rsplit('.').next().unwrap_or(class).to_owned(), message.trim().to_owned()))
    };
    let known: Vec<_> = causes.iter().filter_map(|line| split(line)).collect();
    let innermost = known.iter().rev().find(|(_, message)| !message.is_empty()).or(known.last());

    match innermost {
        Some((class, message)) if message.is_empty() => Some(class.clone()),
        // A wrapping exception repeats its cause: "java.util.X: message".
        Some((class, message)) => Some(split(message).map_or(format!("{class}: {message}"), |(class, inner)| {
            if inner.is_empty() { class } else { format!("{class}: {inner}") }
        })),
        None => causes.first().map(|line| (*line).to_owned()),
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

    #[test]
    fn the_innermost_cause_is_shown_without_its_package() {
        let trace = "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer.\n\
                     \tat io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:67)\n\
                     Caused by: io.debezium.DebeziumException: Failed to start replication stream\n\
                     \t... 6 more\n\
                     Caused by: org.postgresql.util.PSQLException: ERROR: replication slot \"outbox\" does not exist\n  \
                     Hint: none\n\
                     \tat org.postgresql.core.v3.QueryExecutorImpl.receive(QueryExecutorImpl.java:2846)\n";
        let expected = "PSQLException: ERROR: replication slot \"outbox\" does not exist";
        assert_eq!(first_meaningful_line(trace).unwrap(), expected);
    }

    #[test]
    fn the_state_of_debezium_does_not_hide_the_end_of_its_sentence() {
        let state =
            "[lsn=LSN{4/41A0EA68}, context=Context [id=null, events=[]], windows=[windowOpened=false, key=null]]";
        let trace =
            format!("io.debezium.DebeziumException: trying to read from Offset {state}, but this is [gone].\n\tat x");
        let expected = "DebeziumException: trying to read from Offset […], but this is [gone].";
        assert_eq!(first_meaningful_line(&trace).unwrap(), expected);
        assert_eq!(without_states("an open [bracket"), "an open [bracket");
    }

    #[test]
    fn a_cause_without_a_message_is_skipped() {
        let trace = "a.Outer: this happened\n\tat x\nCaused by: java.io.EOFException\n\tat y\n";
        assert_eq!(first_meaningful_line(trace).unwrap(), "Outer: this happened");
        assert_eq!(first_meaningful_line("java.lang.NullPointerException\n\tat x").unwrap(), "NullPointerException");
        assert_eq!(first_meaningful_line("a.B: c.D: inner\n\tat x").unwrap(), "D: inner");
        assert_eq!(first_meaningful_line("no class here").unwrap(), "no class here");
        assert_eq!(first_meaningful_line(""), None);
    }
}
