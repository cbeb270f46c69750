//! A session: the time from when the slot is taken until it is given back or lost. No state outlives it.
//!
//! Its tasks are joined by channels. The [`WalReader`] reads the WAL and sends runs of changes. The session's own loop feeds
//! them to the [`Planner`], which decides without I/O, and carries out the commands that come back. The batches of each
//! broker go to a sender ([`BatchSender`]). [`Confirmation`] checks the catalogs before it passes positions on to the reader.
//! [`Monitor`] does what is done periodically. All of them report to the session's inbox.

mod backlog;
mod batch_sender;
mod broker_sender;
mod confirmation;
mod dead_letter;
mod encoded;
mod ended;
mod feed;
mod inbox;
mod log_reader;
mod monitor;
mod pace;
mod planner;
mod reader;
mod report;
mod requests;
mod row_encoder;
mod skips;
mod start;
mod topics;
mod turns;
mod updates;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Interval, sleep_until, timeout};

use self::batch_sender::{Answered, BatchSender};
use self::confirmation::{Confirmation, Verdict};
use self::monitor::Monitor;
use self::pace::Pace;
use self::planner::{Command, Planner};
use self::reader::{Run, RunEnd, WalReader};
use self::report::Report;
use self::requests::Requests;
use self::turns::Turns;
use tracing::Instrument as _;

use crate::Lsn;
use crate::error::Error;
use crate::progress::{Counters, PartitionId};
use crate::status::{RelayStatus, Work};
use outbox_kafka::{ErrorCode, Topic};
use outbox_net::ErrorChain;

pub(super) use self::confirmation::CheckedCatalog;
pub(super) use self::ended::Ended;
pub(super) use self::feed::{ChangeFeed, FeedError};
pub(super) use self::requests::{backoff, new_topic};
pub(super) use self::skips::SkipList;
pub(super) use self::start::Shared;

/// One session.
pub(super) struct Session {
    reader: WalReader,
    planner: Planner,
    sender: BatchSender,
    requests: Requests,
    confirmation: Confirmation,
    monitor: Monitor,
    inbox: UnboundedReceiver<Report>,
    /// Records a turn at least this often, so that the loop is seen to live.
    heartbeat: Interval,
    /// Whether more changes follow at once.
    is_behind: bool,
    /// When commands were carried out last.
    acted: Instant,
    /// A topic that has more partitions than rows are sent to.
    grown: Option<Box<str>>,
    turns: Turns,
    status: RelayStatus,
    span: tracing::Span,
}

/// How long the broker may take to acknowledge the rest at the end.
const DRAIN: Duration = Duration::from_secs(10);

impl Session {
    /// Relays until `stop` is done or the session ends. Returns how it ended, and what is confirmed.
    pub(super) async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(Ended, Lsn), Error> {
        let span = self.span.clone();
        self.run_to_end(stop).instrument(span).await
    }

    async fn run_to_end(mut self, stop: impl Future<Output = ()> + Send) -> Result<(Ended, Lsn), Error> {
        let ended = self.relay(stop).await;
        // However it ended, the row is still there.
        let ended = match (ended, self.planner.take_stop()) {
            (Ok(Ended::Drained), Some(error)) => Err(error),
            (ended, _) => ended,
        };
        if ended.as_ref().is_ok_and(Ended::is_change_of_reading) {
            self.drain().await?;
        }
        tracing::info!(
            target: "outbox.relay", counters = ?self.planner.counters(), confirmable = %self.planner.confirmable(),
            confirmed = %self.confirmation.confirmed(), "the session of the slot ends"
        );
        self.turns.log_rest();

        let holds_slot = match &ended {
            Ok(ended) => ended.holds_slot(),
            Err(error) => error.is_at_change(),
        };
        if holds_slot {
            // So that positions are confirmed before another process takes the slot.
            match self.status.beating(self.reader.close()).await {
                Err(e) if e.is_transient() => {
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "PostgreSQL was lost before the end was confirmed");
                }
                closed => closed.map_err(Error::wal)?,
            }
        }
        ended.map(|ended| (ended, self.confirmation.confirmed()))
    }

    async fn relay(&mut self, stop: impl Future<Output = ()> + Send) -> Result<Ended, Error> {
        let mut stop = pin!(stop);
        loop {
            let pace = self.pace();
            let may_read = self.may_read(pace);
            let lingers = self.lingers(pace) && may_read;
            if !lingers {
                self.act()?;
            }
            if self.planner.is_stopping() {
                return self.end_before_stop(stop).await;
            }
            self.end_turn();
            // Between two transactions, and with nothing on its way: nothing is then looked for in another partition.
            if let Some(topic) = self.grown.take_if(|_| !self.planner.is_in_transaction()) {
                self.drain().await?;
                return Ok(Ended::TopicChanged(topic));
            }

            // While there is no room for more rows, the stream may end, and another process take the slot.
            let run = async { if may_read { self.reader.next().await } else { Err(self.reader.lost().await) } };
            let ended = tokio::select! {
                biased;
                () = &mut stop => return self.drain().await.map(|()| Ended::Drained),
                _ = self.heartbeat.tick() => None,
                report = next(&mut self.inbox, &mut self.requests) => self.take(report)?,
                run = run => match run {
                    Ok(run) => self.read(run)?,
                    Err(error) => Some(Ended::from_feed(error)?),
                },
                () = sleep_until(self.acted + pace.linger), if lingers => None,
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace::of(self.planner.progress().busy_partitions())
    }

    /// Returns whether there is room for more rows.
    fn may_read(&self, pace: Pace) -> bool {
        let held = self.planner.progress().buffered_bytes();
        held < pace.ahead || (held < pace.ahead_with_stalled && held.saturating_sub(self.stalled_bytes()) < pace.ahead)
    }

    /// Returns what the rows hold in memory that wait for a topic, or for a broker that does not acknowledge.
    fn stalled_bytes(&self) -> usize {
        let held = self.sender.stalled().map(|id| self.planner.progress().held_bytes(id));
        held.sum::<usize>() + self.planner.waiting_for_topics()
    }

    /// Returns whether rows wait for others that follow at once, so that batches become larger.
    fn lingers(&self, pace: Pace) -> bool {
        self.is_behind && self.acted.elapsed() < pace.linger && self.planner.progress().waiting_bytes() < pace.enough
    }

    /// Takes the changes of a run. Before a change that is forbidden, what was read is written first.
    fn read(&mut self, run: Run) -> Result<Option<Ended>, Error> {
        let Run { changes, end, mode, ignored, wal_end, read_at } = run;
        self.is_behind = matches!(end, RunEnd::Behind);
        self.turns.read(mode, wal_end, ignored);
        self.planner.set_time(read_at);
        if let Some(ended) = changes.into_iter().find_map(|change| self.planner.change(change)) {
            return Ok(Some(ended));
        }
        let RunEnd::Last(Some(error)) = end else { return Ok(None) };
        match Ended::from_feed(error) {
            Err(error) if error.is_at_change() => {
                self.planner.stop_here(error);
                Ok(None)
            }
            ended => ended.map(Some),
        }
    }

    /// Carries out the planner's commands, and sends all batches of a broker with one request.
    fn act(&mut self) -> Result<(), Error> {
        let mut due = Vec::new();
        loop {
            let Self { planner, sender, .. } = self;
            let Some(command) = planner.next_command(|place| sender.has_room(place)) else { break };
            match command {
                Command::FindTopic(name) => self.requests.find_topic(name),
                Command::Confirm(lsn) => self.confirmation.want(lsn),
                Command::ProveHeld => self.requests.prove_held(),
                Command::NewProducer => self.requests.new_producer(),
                Command::ReadLog { id, place, from, reach } => self.requests.read_log(id, place, from, reach),
                Command::Produce(id) => due.push(id),
            }
        }

        let mut sendings = Vec::new();
        for id in due {
            if let Some((batch, place)) = self.planner.batch(id) {
                sendings.extend(self.sender.encode(id, &batch, place.clone())?);
            }
        }
        self.sender.send(sendings);
        self.acted = Instant::now();
        Ok(())
    }

    fn end_turn(&mut self) {
        self.turns.end(&mut self.planner, self.confirmation.confirmed());
    }

    /// Takes a report of a task or a request. Returns how the session ends, if it ends.
    fn take(&mut self, report: Report) -> Result<Option<Ended>, Error> {
        match report {
            Report::Produced { broker, answers } => {
                let Answered { outcomes, retry } = self.sender.answered(broker, answers);
                for (id, outcome, refusal) in outcomes {
                    let before = self.planner.counters();
                    self.planner.produced(id, outcome, refusal);
                    self.wrote(id, before);
                }
                retry.into_iter().for_each(|retry| self.requests.retry(retry));
            }
            Report::RetryDue(batches) => {
                batches.into_iter().for_each(|(id, outcome)| self.planner.produced(id, outcome, None));
            }
            Report::LogRead(id, seen, tail) => {
                let before = self.planner.counters();
                if tail.cut {
                    self.status.scan_cut();
                }
                if self.planner.log_read(id, seen, tail) {
                    self.sender.settled(id);
                }
                self.wrote(id, before);
            }
            Report::Producer(producer) => self.planner.producer(producer),
            Report::Topic(name, Ok(topic)) => self.found_topic(&name, &topic)?,
            Report::Topic(name, Err(error)) => self.missed_topic(name, error)?,
            Report::SlotHeld(true) => self.planner.held(),
            Report::SlotHeld(false) => return Ok(Some(Ended::Lost)),
            Report::TopicGrown(topic) => self.grown = Some(topic),
            Report::TopicChanged(topic) => return Ok(Some(Ended::TopicChanged(topic))),
            Report::Confirmation(Verdict::Settled) => {}
            Report::Confirmation(Verdict::Republished) => return Ok(Some(Ended::Republished)),
            Report::Confirmation(Verdict::ShutDown(error)) => return Ok(Some(Ended::Restart(FeedError::Wal(error)))),
            Report::Failed(error) => return Err(Error::kafka("let the relay start", error)),
            Report::Panicked(panic) => std::panic::resume_unwind(panic),
        }
        Ok(None)
    }

    /// Records what the broker has acknowledged since `before`.
    fn wrote(&self, id: PartitionId, before: Counters) {
        if self.turns.wrote(&self.planner, id, before) {
            self.sender.report_repeats();
        }
    }

    fn found_topic(&mut self, name: &str, topic: &Arc<Topic>) -> Result<(), Error> {
        self.status.recovered(&Work::Topic(name.into()));
        self.sender.describe_brokers(topic);
        self.planner.topic_found(topic)?;
        self.requests.found_topic(Arc::clone(topic));
        self.monitor.set_topics(self.planner.topics());
        Ok(())
    }

    fn missed_topic(&mut self, name: Box<str>, error: outbox_kafka::Error) -> Result<(), Error> {
        let work = Work::Topic(name.clone());
        if error.code() == Some(ErrorCode::INVALID_TOPIC_EXCEPTION) {
            self.status.recovered(&work);
            return self.planner.topic_rejected(&name, error);
        }
        self.status.failing(work, &error);
        self.requests.find_topic_again(name);
        Ok(())
    }

    /// Waits until everything before the stop is acknowledged and confirmed.
    async fn end_before_stop(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<Ended, Error> {
        let mut deadline = None;
        loop {
            self.act()?;
            self.turns.draining();
            self.end_turn();
            let is_written = self.planner.progress().buffered_rows() == 0;
            if is_written && deadline.is_none() {
                deadline = Some(Instant::now() + DRAIN);
            }

            let ended = tokio::select! {
                biased;
                () = &mut stop => return self.drain().await.map(|()| Ended::Drained),
                _ = self.heartbeat.tick() => None,
                report = next(&mut self.inbox, &mut self.requests) => self.take(report)?,
                error = self.reader.lost() => Some(Ended::from_feed(error)?),
                () = self.confirmation.caught_up(), if is_written => Some(Ended::Drained),
                () = sleep_until(deadline.unwrap_or(self.acted)), if is_written => Some(Ended::Drained),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Reads to the end of a transaction that has begun, waits for what was sent, and confirms it: another reader of
    /// the slot then begins where this one has ended.
    async fn drain(&mut self) -> Result<(), Error> {
        let status = self.status.clone();
        timeout(DRAIN, status.beating(self.write_rest())).await.unwrap_or_else(|_| {
            tracing::warn!(target: "outbox.relay", "not all was acknowledged in time; it is sent again at the next start");
            Ok(())
        })
    }

    async fn write_rest(&mut self) -> Result<(), Error> {
        let mut is_settling = false;
        loop {
            self.act()?;
            self.turns.draining();
            self.end_turn();
            let reads_on = self.planner.is_in_transaction() && self.reader.has_more();
            if self.planner.progress().buffered_rows() == 0 && !reads_on && !is_settling {
                is_settling = true;
                self.confirmation.settle();
            }

            let may_read = reads_on && self.may_read(self.pace());
            let is_done = tokio::select! {
                biased;
                report = next(&mut self.inbox, &mut self.requests) => {
                    let is_settled = matches!(report, Report::Confirmation(Verdict::Settled));
                    self.take(report)?.is_some() || is_settled
                }
                run = self.reader.next(), if may_read => match run {
                    Ok(run) => self.planner.finish_transaction(run.changes).is_err(),
                    Err(_) => true,
                },
            };
            if is_done {
                return self.act();
            }
        }
    }
}

/// Waits for the next report. Nothing is lost when the future is dropped.
async fn next(inbox: &mut UnboundedReceiver<Report>, requests: &mut Requests) -> Report {
    tokio::select! {
        Some(report) = inbox.recv() => report,
        report = requests.next() => report,
    }
}
