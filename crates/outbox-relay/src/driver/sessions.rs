use std::mem::replace;
use std::pin::pin;
use std::time::Duration;

use super::opener::Opener;
use super::read_plan::ReadPlan;
use super::session::{SessionEnd, Shared, backoff};
use crate::Lsn;
use crate::error::Error;
use crate::progress::Window;
use crate::status::Mode;
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, SlotWatch, Source};

/// The sessions of one slot, one after the other.
pub struct Sessions<'a> {
    shared: Shared<'a>,
    options: &'a ConnectOptions,
    opener: Opener<'a>,
    plan: ReadPlan,
    backoff: Backoff,
    is_standby: bool,
}

/// The step after a session, or after an attempt to take the slot.
enum Next {
    Stop,
    Session(Duration),
    /// Another process holds the slot, with this PID.
    Standby(Option<u32>),
}

/// The interval at which a standby checks which process holds the slot.
const STANDBY: Duration = Duration::from_millis(100);
/// The pause before another session.
const RESTART: Duration = Duration::from_millis(20);

impl<'a> Sessions<'a> {
    pub fn new(shared: Shared<'a>, options: &'a ConnectOptions) -> Self {
        let plan = ReadPlan::new(shared.settings.catch_up_step());
        Self { opener: Opener::new(shared, options), shared, options, plan, backoff: backoff(), is_standby: false }
    }

    /// Takes the slot repeatedly, until `stop` is done.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut stop = pin!(stop);
        loop {
            let begin = self.plan.begin();
            let opened = tokio::select! {
                () = &mut stop => return Ok(()),
                opened = self.shared.status.with_heartbeat(self.opener.open(begin)) => opened?,
            };
            let next = match opened {
                Ok((session, window)) => {
                    self.is_standby = false;
                    self.backoff.reset();
                    let (ended, confirmed) = session.run(&mut stop).await?;
                    self.ended(ended, window, confirmed)
                }
                Err(error) => self.failed(error)?,
            };
            let pause = match next {
                Next::Stop => return Ok(()),
                Next::Session(pause) => pause,
                Next::Standby(holder) => {
                    let watched = tokio::select! {
                        () = &mut stop => return Ok(()),
                        watched = self.stand_by(holder) => watched,
                    };
                    // If the slot cannot be watched, the next attempt to take it shows why.
                    if watched.is_ok() { Duration::ZERO } else { self.backoff.delay() }
                }
            };

            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Records how a session has ended, and decides how the next one reads.
    fn ended(&mut self, ended: SessionEnd, window: Window, confirmed: Lsn) -> Next {
        let status = self.shared.status;
        self.plan.ended(confirmed);
        self.opener.ended(confirmed);
        status.clear_failures();
        if !matches!(ended, SessionEnd::NextStep) {
            status.entered(Mode::Connecting, None);
            status.started_again();
        }
        if let Some(cause) = ended.reconnect() {
            status.reconnecting(cause);
        }

        Next::Session(match ended {
            SessionEnd::Drained => return Next::Stop,
            SessionEnd::Restart(reason) => {
                let error = reason.into_error();
                status.entered(Mode::Connecting, Some(ErrorChain::new(&error).to_string()));
                tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&error), "session ended: starting again");
                RESTART
            }
            SessionEnd::TopicChanged(topic) => {
                tracing::warn!(target: "outbox.relay", topic = &*topic, "topic changed: starting again");
                RESTART
            }
            SessionEnd::Republished => RESTART,
            SessionEnd::NewTable(oid) => {
                tracing::info!(target: "outbox.relay", oid, "new table included: reading the catalogs");
                self.opener.add_new_table(oid);
                RESTART
            }
            SessionEnd::ToStream => {
                tracing::info!(target: "outbox.relay", "large transaction in the backlog: streaming it");
                self.plan.stream(window.end);
                Duration::ZERO
            }
            SessionEnd::ToCopy => {
                tracing::info!(target: "outbox.relay", "many small transactions in the backlog: reading a copy of the slot");
                self.plan.copy();
                Duration::ZERO
            }
            SessionEnd::NextStep if confirmed <= window.confirmed => {
                tracing::info!(target: "outbox.relay", %confirmed, "catch-up step not confirmed: streaming");
                self.plan.stream(window.end);
                RESTART
            }
            SessionEnd::NextStep => {
                tracing::debug!(target: "outbox.relay", %confirmed, "taking the slot again for the next step of the catch-up");
                Duration::ZERO
            }
            SessionEnd::Lost => {
                tracing::warn!(target: "outbox.relay", "replication slot no longer held: starting again");
                RESTART
            }
        })
    }

    /// Records why the slot could not be taken, and decides the next step. Fails if a retry would not help.
    fn failed(&mut self, error: outbox_wal::Error) -> Result<Next, Error> {
        let status = self.shared.status;
        if error.is_slot_active() {
            if !replace(&mut self.is_standby, true) {
                let (slot, pid) = (self.shared.settings.slot().as_str(), error.slot_holder());
                tracing::info!(target: "outbox.relay", slot, pid, "another process holds the slot: standing by");
            }
            return Ok(Next::Standby(error.slot_holder()));
        }
        if error.needs_stream() {
            tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&error), "backlog is streamed");
            self.plan.stream_all();
            return Ok(Next::Session(Duration::ZERO));
        }

        if error.is_transient() {
            self.is_standby = false;
            let pause = self.backoff.delay();
            status.reconnecting((&error).into());
            let error = ErrorChain::new(&error);
            tracing::warn!(target: "outbox.relay", %error, retry_in = ?pause, "connection to PostgreSQL failed: retrying");
            status.entered(Mode::Connecting, Some(format!("PostgreSQL cannot be read: {error}")));
            return Ok(Next::Session(pause));
        }

        Err(match error.is_slot_missing() {
            true => Error::missing("replication slot", error),
            false => Error::wal(error),
        })
    }

    /// Waits until no process holds the slot, and checks over one connection.
    async fn stand_by(&self, mut holder: Option<u32>) -> Result<(), outbox_wal::Error> {
        let Shared { settings, status, .. } = self.shared;
        let slot = settings.slot().as_str();
        let source = Source::new(slot, settings.publication().as_str());
        let options = status.with_heartbeat(self.options.choose_server()).await?;
        let mut watch = status.with_heartbeat(SlotWatch::open(&options, &source)).await?;

        loop {
            let name = holder.map_or_else(|| "another process".to_owned(), |pid| format!("PID {pid}"));
            status.entered(Mode::Standby, Some(format!("{name} holds the slot {slot}")));
            status.with_heartbeat(tokio::time::sleep(STANDBY)).await;
            match status.with_heartbeat(watch.holder()).await? {
                None => return Ok(()),
                now => holder = now,
            }
        }
    }
}
