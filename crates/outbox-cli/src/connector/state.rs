use std::time::Duration;

use outbox_core::ConnectorConfig;
use serde::Serialize;

use crate::connect::{ConnectorState, Rest};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Part, Report, or_dash};

/// All connectors of a Kafka Connect.
#[derive(Serialize)]
pub(super) struct Listed {
    pub(super) connectors: Vec<ConnectorState>,
}

impl Report for Listed {
    fn parts(&self) -> Vec<Part> {
        if self.connectors.is_empty() {
            return vec![Part::Line("there are no connectors".to_owned())];
        }
        let row = |one: &ConnectorState| {
            let class = one.class().map(|class| class.rsplit('.').next().unwrap_or(class));
            let name = one.name().to_owned();
            vec![name, or_dash(class), one.state().to_owned(), one.running_tasks(), or_dash(one.first_error())]
        };
        let head = &["connector", "class", "state", "tasks", "error"];
        vec![Part::Table { head, rows: self.connectors.iter().map(row).collect() }]
    }
}

/// One connector with its tasks.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    state: ConnectorState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traces: Vec<String>,
}

impl Shown {
    /// Shows the state, and the stack traces of failures on demand.
    pub(super) fn new(state: ConnectorState, has_traces: bool) -> Self {
        let tasks = state.tasks().iter().filter_map(|task| task.trace.as_deref());
        let traces = state.trace().into_iter().chain(tasks).map(|trace| trace.trim_end().to_owned());
        let traces = if has_traces { traces.collect() } else { Vec::new() };
        Self { state, traces }
    }
}

impl Report for Shown {
    fn parts(&self) -> Vec<Part> {
        let state = &self.state;
        let part = |name: String, state: &str, worker: &str, error: Option<&str>| {
            vec![name, state.to_owned(), or_dash(Some(worker)), or_dash(error)]
        };
        let mut rows = vec![part(state.name().to_owned(), state.state(), state.worker(), state.error())];
        rows.extend(state.tasks().iter().map(|task| {
            part(format!("{}/{}", state.name(), task.id), &task.state, &task.worker, task.error.as_deref())
        }));
        let mut parts = vec![Part::Table { head: &["connector/task", "state", "worker", "error"], rows }];
        parts.extend(self.traces.iter().map(|trace| Part::Line(format!("\n{trace}"))));
        parts
    }
}

/// Returns whether a connector is stopped, with all of its tasks gone.
pub(super) fn is_stopped(state: &ConnectorState) -> bool {
    state.state() == "STOPPED" && state.tasks().is_empty()
}

/// Returns the configuration of a connector that must exist.
pub(super) async fn exists(rest: &Rest, name: &str) -> Result<ConnectorConfig, Failure> {
    rest.config(name).await?.ok_or_else(|| {
        Failure::not_found(format!("connector {name} does not exist: outbox connector list shows those that do"))
    })
}

/// Waits until a connector runs or has failed, and prints its state.
pub(super) async fn running(rest: &Rest, name: &str, limit: Duration, output: Output) -> Result<Exit, Failure> {
    shown(rest.wait_started(name, limit).await?, output)
}

/// Prints the state of a connector.
pub(super) fn shown(state: ConnectorState, output: Output) -> Result<Exit, Failure> {
    let exit = if state.is_failed() { Exit::Finding } else { Exit::Success };
    output.print(&Shown::new(state, false))?;
    Ok(exit)
}
