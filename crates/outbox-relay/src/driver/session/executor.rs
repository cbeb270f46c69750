use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::batch_sender::{Answered, BatchSender};
use super::confirmation::Confirmation;
use super::ended::SessionEnd;
use super::inbox::{CheckOutcome, Report};
use super::monitor::Monitor;
use super::planner::{Command, Planner};
use super::reader::FeedError;
use super::requests::Requests;
use super::turns::Turns;
use crate::Lsn;
use crate::error::Error;
use crate::status::{RelayStatus, Work};
use outbox_kafka::{ErrorCode, Topic};

/// Carries out the planner's commands by tasks and requests, and passes their reports to it.
pub struct Executor {
    sender: BatchSender,
    requests: Requests,
    confirmation: Confirmation,
    monitor: Monitor,
    inbox: UnboundedReceiver<Report>,
    status: RelayStatus,
}

impl Executor {
    pub fn new(
        sender: BatchSender,
        requests: Requests,
        confirmation: Confirmation,
        monitor: Monitor,
        inbox: UnboundedReceiver<Report>,
        status: RelayStatus,
    ) -> Self {
        Self { sender, requests, confirmation, monitor, inbox, status }
    }

    /// Carries out the planner's commands, and sends all batches of a broker with one request.
    pub fn run(&mut self, planner: &mut Planner) -> Result<(), Error> {
        let mut due = Vec::new();
        while let Some(command) = planner.next_command(|place| self.sender.has_room(place)) {
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
            if let Some((batch, place)) = planner.batch(id) {
                sendings.extend(self.sender.encode(id, &batch, place.clone())?);
            }
        }
        self.sender.send(sendings);
        Ok(())
    }

    /// Waits for the next report. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Report {
        tokio::select! {
            Some(report) = self.inbox.recv() => report,
            report = self.requests.next() => report,
        }
    }

    /// Gives a report to the planner. Returns how the session ends, if it ends.
    pub fn take(&mut self, report: Report, planner: &mut Planner, turns: &Turns) -> Result<Option<SessionEnd>, Error> {
        let before = planner.counters();
        match report {
            Report::Produced { broker, answers } => {
                let Answered { outcomes, retry } = self.sender.answered(broker, answers);
                for (id, outcome, refusal) in outcomes {
                    let before = planner.counters();
                    planner.produced(id, outcome, refusal);
                    turns.record_written(planner, id, before);
                }
                retry.into_iter().for_each(|retry| self.requests.retry(retry));
            }
            Report::RetryDue(batches) => {
                batches.into_iter().for_each(|(id, outcome)| planner.produced(id, outcome, None));
            }
            Report::LogRead(id, seen, tail) => {
                if tail.cut {
                    self.status.scan_cut();
                }
                planner.log_read(id, seen, tail);
                turns.record_written(planner, id, before);
                // The log may show that a batch without an answer was appended.
                if planner.batch(id).is_none() {
                    self.sender.settled(id);
                }
            }
            Report::Producer(producer) => planner.producer(producer),
            Report::Topic(name, Ok(topic)) => self.topic_found(&name, topic, planner)?,
            Report::Topic(name, Err(error)) => self.topic_missed(name, error, planner)?,
            Report::SlotHeld(true) => planner.held(),
            Report::SlotHeld(false) => return Ok(Some(SessionEnd::Lost)),
            Report::TopicGrown(topic) => planner.topic_grown(topic),
            Report::TopicChanged(topic) => return Ok(Some(SessionEnd::TopicChanged(topic))),
            Report::Confirmation(CheckOutcome::Settled) => {}
            Report::Confirmation(CheckOutcome::Republished) => return Ok(Some(SessionEnd::Republished)),
            Report::Confirmation(CheckOutcome::ShutDown(error)) => {
                return Ok(Some(SessionEnd::Restart(FeedError::Wal(error))));
            }
            Report::Failed(error) => return Err(Error::kafka("let the relay start", error)),
            Report::Panicked(panic) => std::panic::resume_unwind(panic),
        }

        if planner.counters().since(before).repeats_as_new > 0 {
            self.sender.report_repeats();
        }
        Ok(None)
    }

    fn topic_found(&mut self, name: &str, topic: Arc<Topic>, planner: &mut Planner) -> Result<(), Error> {
        self.status.recovered(&Work::Topic(name.into()));
        self.sender.describe_brokers(&topic);
        planner.topic_found(&topic)?;
        self.monitor.set_topics(planner.topics().all());
        self.requests.topic_found(topic);
        Ok(())
    }

    fn topic_missed(&mut self, name: Box<str>, error: outbox_kafka::Error, planner: &mut Planner) -> Result<(), Error> {
        let work = Work::Topic(name.clone());
        if error.code() == Some(ErrorCode::INVALID_TOPIC_EXCEPTION) {
            self.status.recovered(&work);
            return planner.topic_rejected(&name, error);
        }
        self.status.failing(work, &error);
        self.requests.find_topic_again(name);
        Ok(())
    }

    /// Returns the memory of rows that wait for a topic, or for a broker that does not acknowledge, in bytes.
    pub fn stalled_bytes(&self, planner: &Planner) -> usize {
        let held = self.sender.stalled().map(|id| planner.progress().held_bytes(id));
        held.sum::<usize>() + planner.topics().waiting_bytes()
    }

    pub fn confirmed(&self) -> Lsn {
        self.confirmation.confirmed()
    }

    /// Confirms the remaining positions without a pause. [`CheckOutcome::Settled`] follows.
    pub fn settle(&self) {
        self.confirmation.settle();
    }

    /// Waits as [`next`](Self::next) does, and returns `None` once everything that is acknowledged is confirmed.
    pub async fn next_or_confirmed(&mut self) -> Option<Report> {
        let Self { confirmation, inbox, requests, .. } = self;
        tokio::select! {
            biased;
            Some(report) = inbox.recv() => Some(report),
            report = requests.next() => Some(report),
            () = confirmation.caught_up() => None,
        }
    }
}
