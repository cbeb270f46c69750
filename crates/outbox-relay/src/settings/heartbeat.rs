use std::time::Duration;

use outbox_core::connector::HeartbeatRecord;

use super::finding::{Finding, Findings};
use super::resolved::Resolved;

/// The work of the relay at each heartbeat (`heartbeat.*`). It has no `Debug`, because the statement may hold a secret.
#[derive(Clone)]
pub(crate) struct Heartbeats {
    interval: Duration,
    record: Option<HeartbeatRecord>,
    action_query: Option<String>,
}

const INTERVAL: &str = "heartbeat.interval.ms";
const ACTION_QUERY: &str = "heartbeat.action.query";

impl Heartbeats {
    /// Reads the heartbeats of a configuration; `None` if the interval is 0, which is the default. Heartbeats that
    /// cannot be written are a warning, because events do not need them.
    pub(super) fn of(config: &Resolved, findings: &mut Findings) -> Option<Self> {
        let interval = findings.take(interval(config))??;
        let record = HeartbeatRecord::from_config(&config.for_pipeline()).unwrap_or_else(|error| {
            for finding in config.contradictions(&error) {
                let reason = format!("the relay writes no heartbeats: {}", finding.reason());
                findings.warn(Finding::new(finding.key(), reason));
            }
            None
        });
        let action_query = config.get(ACTION_QUERY).filter(|query| !query.is_empty()).map(str::to_owned);
        Some(Self { interval, record, action_query })
    }

    /// Returns the time between two heartbeats.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns the record that is written, unless it cannot be or a `Filter` drops it.
    pub(crate) fn record(&self) -> Option<&HeartbeatRecord> {
        self.record.as_ref()
    }

    /// Returns the statement that is executed.
    pub(crate) fn action_query(&self) -> Option<&str> {
        self.action_query.as_deref()
    }
}

fn interval(config: &Resolved) -> Result<Option<Duration>, Finding> {
    let Some(text) = config.get(INTERVAL) else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(milliseconds) if i32::try_from(milliseconds).is_ok() => Ok(Some(Duration::from_millis(milliseconds.into()))),
        _ => {
            Err(Finding::new(INTERVAL, "Debezium rejects this value: it is a whole number of milliseconds, 0 for none"))
        }
    }
}
