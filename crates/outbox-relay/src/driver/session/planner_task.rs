use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

use super::ended::SessionEnd;
use super::executor::Executor;
use super::inbox::{CheckOutcome, Report};
use super::pace::Pace;
use super::planner::Planner;
use super::reader::{Run, RunEnd, WalReader};
use super::turns::Turns;
use crate::Lsn;
use crate::error::Error;
use crate::status::{BEAT, RelayStatus};
use outbox_net::ErrorChain;

/// The planner's task: the loop that gives the runs of the reader and the reports of the other tasks to the
/// [`Planner`], and has its commands carried out by the [`Executor`].
///
/// It waits at one place for its inputs, so decisions are made one after the other, and need no lock.
pub struct PlannerTask {
    reader: WalReader,
    planner: Planner,
    executor: Executor,
    /// Records a turn at least this often, so that the loop is seen to live.
    turn: Interval,
    /// Whether more changes follow at once.
    is_behind: bool,
    /// The time at which commands were carried out last.
    commands_run_at: Instant,
    turns: Turns,
    status: RelayStatus,
}

/// The time that the broker may take to acknowledge the rest at the end.
const DRAIN: Duration = Duration::from_secs(10);

impl PlannerTask {
    /// Creates the task. It reads when it [runs](Self::run).
    pub fn new(reader: WalReader, planner: Planner, executor: Executor, turns: Turns, status: RelayStatus) -> Self {
        let mut turn = interval(BEAT);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { reader, planner, executor, turn, is_behind: false, commands_run_at: Instant::now(), turns, status }
    }

    /// Relays until `stop` is done or the session ends. Then it writes the rest if the next session reads in another
    /// way, and releases the slot if this one still holds it. Returns how the session ended, and the confirmed position.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(SessionEnd, Lsn), Error> {
        let ended = self.relay(stop).await;
        // However the session ended, the row is still in the WAL.
        let ended = match (ended, self.planner.take_stop()) {
            (Ok(SessionEnd::Drained), Some(error)) => Err(error),
            (ended, _) => ended,
        };
        if ended.as_ref().is_ok_and(SessionEnd::is_change_of_reading) {
            self.drain().await?;
        }
        tracing::info!(
            target: "outbox.relay", counters = ?self.planner.counters(), confirmable = %self.planner.confirmable(),
            confirmed = %self.executor.confirmed(), "session of the slot ends"
        );
        self.turns.log_rest();

        let holds_slot = match &ended {
            Ok(ended) => ended.holds_slot(),
            Err(error) => error.is_at_change(),
        };
        if holds_slot {
            // The remaining positions are confirmed before another process takes the slot.
            match self.status.with_heartbeat(self.reader.close()).await {
                Err(e) if e.is_transient() => {
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "connection to PostgreSQL lost before the end was confirmed");
                }
                closed => closed.map_err(Error::wal)?,
            }
        }
        ended.map(|ended| (ended, self.executor.confirmed()))
    }

    /// Reads and writes until `stop` is done or the session ends.
    async fn relay(&mut self, stop: impl Future<Output = ()> + Send) -> Result<SessionEnd, Error> {
        let mut stop = pin!(stop);
        loop {
            let pace = self.pace();
            let may_read = self.may_read(pace);
            let lingers = self.lingers(pace) && may_read;
            if !lingers {
                self.run_commands()?;
            }
            if self.planner.is_stopping() {
                return self.end_before_stop(stop).await;
            }
            self.end_turn();
            if let Some(topic) = self.planner.take_grown() {
                self.drain().await?;
                return Ok(SessionEnd::TopicChanged(topic));
            }

            // While there is no room for more rows, the stream may end, and another process may take the slot.
            let run = async { if may_read { self.reader.next().await } else { Err(self.reader.lost().await) } };
            let ended = tokio::select! {
                biased;
                () = &mut stop => return self.drain().await.map(|()| SessionEnd::Drained),
                _ = self.turn.tick() => None,
                report = self.executor.next() => self.take(report)?,
                run = run => match run {
                    Ok(run) => self.read(run)?,
                    Err(error) => Some(SessionEnd::from_feed(error)?),
                },
                () = sleep_until(self.commands_run_at + pace.linger), if lingers => None,
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
        let moving = || held.saturating_sub(self.executor.stalled_bytes(&self.planner));
        held < pace.ahead || (held < pace.ahead_with_stalled && moving() < pace.ahead)
    }

    /// Returns whether rows wait for others that follow at once, so that batches become larger.
    fn lingers(&self, pace: Pace) -> bool {
        self.is_behind
            && self.commands_run_at.elapsed() < pace.linger
            && self.planner.progress().waiting_bytes() < pace.enough
    }

    /// Handles the changes of a run. Before a forbidden change, the rows before it are written.
    fn read(&mut self, run: Run) -> Result<Option<SessionEnd>, Error> {
        let Run { changes, end, mode, ignored, wal_end, read_at } = run;
        self.is_behind = matches!(end, RunEnd::Behind);
        self.turns.read(mode, wal_end, ignored);
        self.planner.set_time(read_at);
        if let Some(ended) = changes.into_iter().find_map(|change| self.planner.change(change)) {
            return Ok(Some(ended));
        }

        let RunEnd::Last(Some(error)) = end else { return Ok(None) };
        match SessionEnd::from_feed(error) {
            Err(error) if error.is_at_change() => {
                self.planner.stop_here(error);
                Ok(None)
            }
            ended => ended.map(Some),
        }
    }

    fn run_commands(&mut self) -> Result<(), Error> {
        self.commands_run_at = Instant::now();
        self.executor.run(&mut self.planner)
    }

    fn end_turn(&mut self) {
        self.turns.end(&mut self.planner, self.executor.confirmed());
    }

    fn take(&mut self, report: Report) -> Result<Option<SessionEnd>, Error> {
        self.executor.take(report, &mut self.planner, &self.turns)
    }

    /// Waits until everything before the stop is acknowledged and confirmed.
    async fn end_before_stop(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<SessionEnd, Error> {
        let mut deadline = None;
        loop {
            self.run_commands()?;
            self.turns.draining();
            self.end_turn();
            let is_written = self.planner.progress().buffered_rows() == 0;
            if is_written && deadline.is_none() {
                deadline = Some(Instant::now() + DRAIN);
            }

            let Self { executor, reader, .. } = self;
            let next =
                async { if is_written { executor.next_or_confirmed().await } else { Some(executor.next().await) } };
            let ended = tokio::select! {
                biased;
                () = &mut stop => return self.drain().await.map(|()| SessionEnd::Drained),
                _ = self.turn.tick() => None,
                report = next => match report {
                    Some(report) => self.take(report)?,
                    None => Some(SessionEnd::Drained),
                },
                error = reader.lost() => Some(SessionEnd::from_feed(error)?),
                () = sleep_until(deadline.unwrap_or(self.commands_run_at)), if is_written => Some(SessionEnd::Drained),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Reads to the end of a transaction that has begun, waits for what was sent, and confirms it: the next reader of
    /// the slot then begins at the end of this session.
    async fn drain(&mut self) -> Result<(), Error> {
        let status = self.status.clone();
        timeout(DRAIN, status.with_heartbeat(self.write_rest())).await.unwrap_or_else(|_| {
            tracing::warn!(target: "outbox.relay", "rows not acknowledged in time: they are sent again at the next start");
            Ok(())
        })
    }

    /// Writes the rest of the transaction that has begun and awaits its acknowledgements, then the confirmation of
    /// their position.
    async fn write_rest(&mut self) -> Result<(), Error> {
        let mut is_settling = false;
        loop {
            self.run_commands()?;
            self.turns.draining();
            self.end_turn();
            let reads_on = self.planner.is_in_transaction() && self.reader.has_more();
            if self.planner.progress().buffered_rows() == 0 && !reads_on && !is_settling {
                is_settling = true;
                self.executor.settle();
            }

            let may_read = reads_on && self.may_read(self.pace());
            let is_done = tokio::select! {
                biased;
                report = self.executor.next() => {
                    let is_settled = matches!(report, Report::Confirmation(CheckOutcome::Settled));
                    self.take(report)?.is_some() || is_settled
                }
                run = self.reader.next(), if may_read => match run {
                    Ok(run) => self.planner.finish_transaction(run.changes).is_err(),
                    Err(_) => true,
                },
            };
            if is_done {
                return self.run_commands();
            }
        }
    }
}
