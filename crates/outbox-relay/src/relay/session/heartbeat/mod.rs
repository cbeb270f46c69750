//! Heartbeats: a record in their topic, and a statement in the database. Nothing else of the relay depends on them: what fails is
//! logged, counted and tried again.

mod action;
mod pulse;
mod record;

use std::sync::Arc;

use tokio::sync::Mutex;

use self::action::Action;
use self::pulse::{Pulse, repeat};
use self::record::RecordWriter;
use super::inbox::{Inbox, Task};
use crate::settings::RelaySettings;
use crate::status::RelayStatus;
use outbox_kafka::Cluster;
use outbox_wal::ConnectOptions;

/// When the next heartbeat is due. It outlives sessions, so that short ones delay no heartbeat.
pub(in crate::relay) struct Heartbeats {
    record: Arc<Mutex<Pulse>>,
    action: Arc<Mutex<Pulse>>,
}

impl Heartbeats {
    /// Lets the first heartbeat be due one interval from now.
    pub(in crate::relay) fn new(settings: &RelaySettings) -> Self {
        let interval = settings.heartbeats().map(|heartbeats| heartbeats.interval()).unwrap_or_default();
        let pulse = || Arc::new(Mutex::new(Pulse::new(interval)));
        Self { record: pulse(), action: pulse() }
    }

    /// Starts the tasks of a session.
    pub(super) fn start(
        &self,
        settings: &RelaySettings,
        cluster: &Arc<Cluster>,
        options: &ConnectOptions,
        status: &RelayStatus,
        inbox: &Inbox,
    ) -> Vec<Task> {
        let Some(heartbeats) = settings.heartbeats() else { return Vec::new() };
        let mut tasks = Vec::new();
        if let Some(record) = heartbeats.record() {
            let creation = settings.topic_creation().cloned();
            let writer = RecordWriter::new(record.clone(), Arc::clone(cluster), creation, status.clone());
            tasks.push(inbox.spawn(repeat(Arc::clone(&self.record), writer, status.clone())));
        }
        if let Some(query) = heartbeats.action_query() {
            let action = Action::new(options.clone(), query.to_owned());
            tasks.push(inbox.spawn(repeat(Arc::clone(&self.action), action, status.clone())));
        }
        tasks
    }
}
