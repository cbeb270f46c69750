use std::collections::{HashMap, HashSet};
use std::time::Duration;

use clap::Args;
use outbox_net::Backoff;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::connect::{ConnectorState, Rest, RestartedTasks};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Part, Report, notice};

#[derive(Args)]
pub(crate) struct Supervise {
    /// The connectors; without a name, all of them
    names: Vec<String>,
    /// Look at the connectors this often
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = outbox_relay::cli::seconds)]
    interval: Duration,
    /// The pause before the first restart; each following one is twice as long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = outbox_relay::cli::seconds)]
    first_pause: Duration,
    /// The longest pause between restarts
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = outbox_relay::cli::seconds)]
    longest_pause: Duration,
}

/// One step of the supervision of a connector.
#[derive(Serialize)]
struct Step {
    connector: String,
    event: &'static str,
    /// The pause before the restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A connector that fails.
struct Failing {
    pauses: Backoff,
    /// The time of its next restart; `None` after a restart, until its state is known.
    restart_at: Option<Instant>,
    /// The time since which it runs again.
    running_since: Option<Instant>,
}

impl Supervise {
    pub(super) async fn run(self, rest: &Rest, output: Output) -> Result<Exit, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::usage("signals cannot be received").caused_by(&e));
        let (mut interrupted, mut terminated) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        tokio::select! {
            failed = self.watch(rest, output) => failed,
            _ = interrupted.recv() => Ok(Exit::Success),
            _ = terminated.recv() => Ok(Exit::Success),
        }
    }

    /// Looks at the connectors at each interval. It ends only if standard output cannot be written.
    async fn watch(&self, rest: &Rest, output: Output) -> Result<Exit, Failure> {
        let (mut failing, mut missing) = (HashMap::new(), HashSet::new());
        loop {
            // The supervision continues if a worker does not answer for a while.
            match rest.list().await {
                Ok(states) => {
                    self.report_missing(&states, &mut missing);
                    for state in states.iter().filter(|state| self.is_supervised(state)) {
                        self.look(rest, state, &mut failing, output).await?;
                    }
                }
                Err(failure) => notice(&format!("warning: {failure}")),
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Warns once of each connector that does not exist. It may be created later.
    fn report_missing(&self, states: &[ConnectorState], missing: &mut HashSet<String>) {
        for name in &self.names {
            let is_missing = !states.iter().any(|state| state.name() == name);
            if is_missing && missing.insert(name.clone()) {
                notice(&format!("warning: connector {name} does not exist: it is supervised once it does"));
            }
            if !is_missing {
                missing.remove(name);
            }
        }
    }

    fn is_supervised(&self, state: &ConnectorState) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == state.name())
    }

    /// Checks one connector, and restarts it if it has failed and its pause is over.
    async fn look(
        &self,
        rest: &Rest,
        state: &ConnectorState,
        failing: &mut HashMap<String, Failing>,
        output: Output,
    ) -> Result<(), Failure> {
        let name = state.name().to_owned();
        let step = |event, pause: Option<Duration>, error: Option<&str>| {
            let (pause_seconds, error) = (pause.map(|pause| pause.as_secs_f64()), error.map(str::to_owned));
            // The supervision continues if standard output is closed.
            output.print_line(&Step { connector: name.clone(), event, pause_seconds, error }).map(|_| ())
        };
        if !state.is_failed() {
            let Some(known) = failing.get_mut(&name) else { return Ok(()) };
            if state.is_running() && known.running_since.is_none() {
                known.running_since = Some(Instant::now());
                step("running", None, None)?;
            }
            // A task that fails soon after each restart keeps its long pauses.
            if known.running_since.is_some_and(|since| since.elapsed() >= self.longest_pause) {
                failing.remove(&name);
            }
            return Ok(());
        }

        let known = failing.entry(name.clone()).or_insert_with(|| Failing {
            pauses: Backoff::new(self.first_pause, self.longest_pause),
            restart_at: None,
            running_since: None,
        });
        known.running_since = None;
        match known.restart_at {
            None => {
                let pause = known.pauses.delay();
                known.restart_at = Some(Instant::now() + pause);
                step("failed", Some(pause), state.first_error())
            }
            Some(at) if at <= Instant::now() => {
                known.restart_at = None;
                match rest.restart(&name, RestartedTasks::Failed).await {
                    Ok(()) => step("restarted", None, None),
                    Err(failure) => step("restart failed", None, Some(&failure.to_string())),
                }
            }
            Some(_) => Ok(()),
        }
    }
}

impl Report for Step {
    fn parts(&self) -> Vec<Part> {
        let Self { connector, event, pause_seconds, error } = self;
        let mut line = format!("connector {connector} {event}");
        if let Some(pause) = pause_seconds {
            line.push_str(&format!(", restart in {}", crate::output::seconds(*pause)));
        }
        if let Some(error) = error {
            line.push_str(&format!(": {error}"));
        }
        vec![Part::Line(line)]
    }
}
