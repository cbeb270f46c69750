use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::error::{Error, Kind};
use super::frames::{Frame, bodies};
use super::held;
use super::options::ConnectOptions;
use super::pipe::PipeSender;
use super::server_error::{Operation, ServerError};
use super::session::Session;
use super::slot::Source;
use super::status::{self, DATA_HEAD, Head};
use crate::Lsn;

/// Confirmations are gathered for this long: each one takes locks on the server.
const GATHER: Duration = Duration::from_millis(50);
/// Within a transaction of more bytes than this nothing is urgent.
const LARGE: usize = 256 * 1024;
/// The tag of pgoutput's message that ends a transaction.
const COMMIT: u8 = b'C';
/// The walsender wakes its reader for each row. In a large transaction it is given time to send many.
const NAP: Duration = Duration::from_millis(1);
/// How long the server may take to let go of the slot.
const FAREWELL: Duration = Duration::from_secs(5);

/// The task between a walsender and its consumer: it reads while there is room, and reports to the walsender what is
/// confirmed whether there is room or not.
pub(super) struct Pump {
    pub(super) session: Session,
    pub(super) pipe: PipeSender,
    pub(super) confirmed: watch::Receiver<Lsn>,
    /// The end of the server's WAL, as it was reported last.
    pub(super) server: Arc<AtomicU64>,
    pub(super) source: Source,
    pub(super) options: ConnectOptions,
    /// How often a status goes out at least.
    pub(super) interval: Duration,
    /// The bytes that were read of the transaction that is being sent.
    pub(super) unfinished: usize,
    /// How often the server has asked for an answer since the last status that went out by itself.
    pub(super) pings: u32,
    /// Whether a warning of the walsender was logged.
    pub(super) has_warned: bool,
}

impl Pump {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut waiting: Option<Bytes> = None;
        let (mut last_status, mut last_word) = (Instant::now(), Instant::now());
        let mut told = Lsn::default();
        let timer = sleep_until(last_status);
        tokio::pin!(timer);
        loop {
            if waiting.is_none() {
                waiting = self.received().await?;
            }
            let length = waiting.as_ref().map(Bytes::len);
            let nap = (self.unfinished > LARGE).then_some(NAP);
            tokio::select! {
                biased;
                () = self.pipe.closed() => return self.farewell().await,
                () = &mut timer => {
                    // Bytes that are not read may hold the server's words.
                    if length.is_some() {
                        last_word = Instant::now();
                    } else if last_word.elapsed() > self.session.timeouts.silence {
                        if !self.is_decoding().await {
                            return Err(Error::silent(self.session.timeouts.silence));
                        }
                        last_word = Instant::now();
                    }
                    let (stuck, pressed) = (length.is_some() && told == *self.confirmed.borrow(), self.pings > 1);
                    if (stuck || pressed) && last_status.elapsed() >= self.interval && self.has_server_ended().await {
                        self.farewell().await?;
                        return Err(Error::hung_up());
                    }
                    told = self.tell(true).await?;
                    self.pings = 0;
                    last_status = Instant::now();
                    timer.as_mut().reset(last_status + self.interval);
                }
                changed = self.confirmed.changed() => match changed {
                    Ok(()) => {
                        let soon = last_status + GATHER;
                        if soon < timer.deadline() {
                            timer.as_mut().reset(soon);
                        }
                    }
                    Err(_) => return self.farewell().await,
                },
                permit = maybe(length.map(|length| self.pipe.room(length))) => {
                    if let (Some(permit), Some(run)) = (permit, waiting.take())
                        && !self.pipe.send(run, permit)
                    {
                        return self.farewell().await;
                    }
                }
                filled = self.session.received.fill_after(nap, &mut self.session.socket), if length.is_none() => {
                    filled?;
                    last_word = Instant::now();
                }
            }
        }
    }

    /// Takes what was received; answers what wants an answer.
    async fn received(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(run) = self.session.received.run(b'd')? {
                let mut wants_reply = false;
                let mut server = Lsn::default();
                for body in bodies(&run) {
                    let head = status::head(body)?;
                    server = server.max(head.end());
                    match head {
                        Head::Keepalive { reply, .. } => wants_reply |= reply,
                        Head::Data { .. } if body.get(DATA_HEAD) == Some(&COMMIT) => self.unfinished = 0,
                        Head::Data { .. } => self.unfinished = self.unfinished.saturating_add(body.len()),
                    }
                }
                self.server.fetch_max(server.as_u64(), Ordering::Relaxed);
                // It asks again at once when it stops and waits for what is not confirmed yet.
                self.pings += u32::from(wants_reply);
                if wants_reply && self.pings == 1 {
                    self.tell(false).await?;
                }
                return Ok(Some(run));
            }
            let Some(Frame { tag, body }) = self.session.received.frame()? else { return Ok(None) };
            let changes = Operation::ReadChanges { slot: self.source.slot(), publication: self.source.publication() };
            match tag {
                b'E' => return Err(ServerError::parse(&body).while_doing(changes)),
                b'N' => {
                    // The walsender repeats it each second.
                    if let Some(warning) = notice(&body, changes)?
                        && !std::mem::replace(&mut self.has_warned, true)
                    {
                        warn!(target: "outbox.relay", %warning, "walsender waits for a standby");
                    }
                }
                // The walsender has said all it will say: the server shuts down.
                b'c' => return Err(Error::hung_up()),
                _ => {}
            }
        }
    }

    async fn tell(&mut self, asks_for_reply: bool) -> Result<Lsn, Error> {
        let confirmed = *self.confirmed.borrow_and_update();
        self.session.send(&status::update(confirmed, asks_for_reply)).await?;
        Ok(confirmed)
    }

    /// Returns whether the walsender has ended, which a reader without room does not see, or the server is shutting
    /// down: it would wait until this reader has confirmed everything, which never happens if the broker is
    /// unreachable.
    async fn has_server_ended(&self) -> bool {
        match timeout(self.interval, held::is_held(&self.options, &self.source)).await {
            Ok(Ok(is_held)) => !is_held,
            Ok(Err(error)) => error.is_not_accepting(),
            Err(_) => false,
        }
    }

    /// Returns whether the walsender decodes, and answers nothing for as long.
    async fn is_decoding(&self) -> bool {
        let limit = self.session.timeouts.silence;
        matches!(timeout(limit, held::is_decoding(&self.options, &self.source)).await, Ok(Ok(true)))
    }

    /// Reports what was confirmed last, and waits until the server has let go of the slot.
    async fn farewell(mut self) -> Result<(), Error> {
        let ended = async {
            self.tell(false).await?;
            let mut out = BytesMut::new();
            frontend::terminate(&mut out);
            self.session.send(&out).await?;
            loop {
                self.session.received.run(b'd')?;
                while self.session.received.frame()?.is_some() {}
                self.session.received.fill(&mut self.session.socket).await?;
            }
        };
        let outcome: Result<Result<(), Error>, _> = timeout(FAREWELL, ended).await;
        debug!(target: "outbox.relay", orderly = outcome.is_ok(), "the stream of the WAL is closed");
        Ok(())
    }
}

/// Returns the error that a notice stands for: from version 18 on, PostgreSQL reports a missing publication as a
/// warning, and skips the rows that it would have published. Or else, returns a warning that the walsender waits for a
/// standby.
pub(super) fn notice(body: &[u8], changes: Operation<'_>) -> Result<Option<ServerError>, Error> {
    let Operation::ReadChanges { publication, .. } = changes else { return Ok(None) };
    let error = ServerError::parse(body);
    match error.code.as_str() {
        // undefined_object as in the error of earlier versions, object_not_in_prerequisite_state as 18 has it. As an
        // error, the latter is about the slot. As a warning of the walsender itself, it is about a standby that is
        // waited for.
        "42704" | "55000" if error.may_be_of_plugin() => {
            Err(Error::new(Kind::PublicationMissing { publication: publication.into() }).because(error))
        }
        "55000" => Ok(Some(error)),
        _ => Ok(None),
    }
}

async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_of_version_18_is_an_error() {
        let warning = b"SWARNING\0VWARNING\0C55000\0Mskipped loading publication \"outbox\"\0\
            DThe publication does not exist at this point in the WAL.\0HCreate the publication if it does not exist.\0\
            Fpgoutput.c\0L1844\0RLoadPublications\0\0";
        let changes = Operation::ReadChanges { slot: "s", publication: "outbox" };
        let error = notice(warning, changes).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::PublicationMissing { publication } if &**publication == "outbox"),
            "{error:?}"
        );
        assert!(notice(b"SWARNING\0C01000\0Mother\0\0", changes).unwrap().is_none());
        let waits = b"SWARNING\0VWARNING\0C55000\0Mreplication slot \"standby\" specified in parameter \
            \"synchronized_standby_slots\" does not have active_pid\0Fslot.c\0L2800\0RStandbySlotsHaveCaughtup\0\0";
        assert!(notice(waits, changes).unwrap().is_some());
    }
}
