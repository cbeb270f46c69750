use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::error::{Error, Kind, Operation, ServerError};
use super::frames::{Frame, bodies};
use super::options::ConnectOptions;
use super::pipe::PipeSender;
use super::session::Session;
use super::silence::Silence;
use super::slot::{self, Source};
use crate::Lsn;
use outbox_net::wall_clock;

/// The time for which confirmations are gathered, because each one takes locks on the server.
const GATHER: Duration = Duration::from_millis(50);
/// The size of a transaction in bytes above which reads may be delayed.
const LARGE: usize = 256 * 1024;
/// The tag of pgoutput's message that ends a transaction.
const COMMIT: u8 = b'C';
/// The pause before a read in a large transaction, so that the walsender, which wakes its reader for each row, can send
/// many.
const NAP: Duration = Duration::from_millis(1);
/// The interval at which a status goes out: a quarter of the silence after which either side gives up, within these
/// bounds.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
/// The time that the server may take to release the slot.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The task between a walsender and its consumer: it reads while there is room, and reports confirmed positions to the
/// walsender even if there is no room.
pub struct Pump {
    session: Session,
    pipe: PipeSender,
    confirmed: watch::Receiver<Lsn>,
    /// The end of the server's WAL, as of the last report.
    wal_end: Arc<AtomicU64>,
    source: Source,
    options: ConnectOptions,
    /// The longest interval between two statuses.
    interval: Duration,
    /// The bytes that were read of the transaction that is being sent.
    unfinished: usize,
    silence: Silence,
    /// The number of requests for an answer since the last periodic status.
    pings: u32,
    /// Whether a warning of the walsender was logged.
    has_warned: bool,
}

impl Pump {
    /// Creates the task of a walsender that gives up after `server_timeout` without a status.
    pub fn new(
        session: Session,
        pipe: PipeSender,
        confirmed: watch::Receiver<Lsn>,
        wal_end: Arc<AtomicU64>,
        source: Source,
        options: ConnectOptions,
        server_timeout: Duration,
    ) -> Self {
        // Several statuses, each of which requests an answer, are sent before either side gives up.
        let interval = (server_timeout.min(options.timeouts.silence) / 4).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Self {
            session,
            pipe,
            confirmed,
            wal_end,
            source,
            options,
            interval,
            unfinished: 0,
            silence: Silence::new(),
            pings: 0,
            has_warned: false,
        }
    }

    /// Reads messages and sends statuses until the consumer is dropped, or the connection fails.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut waiting: Option<Bytes> = None;
        let mut last_status = Instant::now();
        let mut last_sent = Lsn::default();
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
                () = self.pipe.closed() => return self.shut_down().await,
                () = &mut timer => {
                    // Unread bytes may contain an error of the server.
                    if length.is_some() {
                        self.silence.break_off();
                    } else if self.silence.exceeds(self.session.timeouts.silence) {
                        if !self.is_decoding().await && !self.has_answered().await? {
                            return Err(Error::silent(self.session.timeouts.silence));
                        }
                        self.silence.break_off();
                    }

                    let (stuck, pressed) = (length.is_some() && last_sent == *self.confirmed.borrow(), self.pings > 1);
                    if (stuck || pressed) && last_status.elapsed() >= self.interval && self.has_server_ended().await {
                        self.shut_down().await?;
                        return Err(Error::hung_up());
                    }

                    last_sent = self.send_status(true).await?;
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
                    Err(_) => return self.shut_down().await,
                },
                permit = maybe(length.map(|length| self.pipe.room(length))) => {
                    if let (Some(permit), Some(run)) = (permit, waiting.take())
                        && !self.pipe.send(run, permit)
                    {
                        return self.shut_down().await;
                    }
                }
                filled = self.session.received.fill_after(nap, &mut self.session.socket), if length.is_none() => {
                    self.silence.received(filled?);
                }
            }
        }
    }

    /// Handles received messages, and answers those that request an answer.
    async fn received(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(run) = self.session.received.run(b'd')? {
                let mut wants_reply = false;
                let mut wal_end = Lsn::default();
                for body in bodies(&run) {
                    let head = parse_head(body)?;
                    wal_end = wal_end.max(head.end());
                    match head {
                        Head::Keepalive { reply, .. } => wants_reply |= reply,
                        Head::Data { .. } if body.get(DATA_HEAD) == Some(&COMMIT) => self.unfinished = 0,
                        Head::Data { .. } => self.unfinished = self.unfinished.saturating_add(body.len()),
                    }
                }

                self.wal_end.fetch_max(wal_end.as_u64(), Ordering::Relaxed);
                // A server that stops repeats the request at once, while it waits for confirmations.
                self.pings += u32::from(wants_reply);
                if wants_reply && self.pings == 1 {
                    self.send_status(false).await?;
                }

                self.silence.break_off();
                return Ok(Some(run));
            }

            let Some(Frame { tag, body }) = self.session.received.frame()? else { return Ok(None) };
            self.silence.break_off();
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
                // The walsender sends no more, because the server shuts down.
                b'c' => return Err(Error::hung_up()),
                _ => {}
            }
        }
    }

    async fn send_status(&mut self, asks_for_reply: bool) -> Result<Lsn, Error> {
        let confirmed = *self.confirmed.borrow_and_update();
        self.session.send(&status_update(confirmed, asks_for_reply)).await?;
        Ok(confirmed)
    }

    /// Returns whether the walsender has ended, which a reader without room does not see, or the server is shutting
    /// down: it would wait until this reader has confirmed everything, which never happens if the broker is
    /// unreachable.
    async fn has_server_ended(&self) -> bool {
        match timeout(self.interval, slot::is_held(&self.options, &self.source)).await {
            Ok(Ok(is_held)) => !is_held,
            Ok(Err(error)) => error.is_not_accepting(),
            Err(_) => false,
        }
    }

    /// Returns whether the walsender is decoding, during which it does not answer.
    async fn is_decoding(&self) -> bool {
        let limit = self.session.timeouts.silence;
        matches!(timeout(limit, slot::is_decoding(&self.options, &self.source)).await, Ok(Ok(true)))
    }

    /// Returns whether a message was received. The walsender may have ended its work just before the check.
    async fn has_answered(&mut self) -> Result<bool, Error> {
        let Session { received, socket, .. } = &mut self.session;
        let message = async {
            while !received.has_frame()? {
                received.fill(socket).await?;
            }
            Ok(true)
        };
        timeout(SHORTEST_INTERVAL, message).await.unwrap_or(Ok(false))
    }

    /// Reports the last confirmed position, and waits until the server has released the slot.
    async fn shut_down(mut self) -> Result<(), Error> {
        let ended = async {
            self.send_status(false).await?;
            let mut out = BytesMut::new();
            frontend::terminate(&mut out);
            self.session.send(&out).await?;
            loop {
                self.session.received.run(b'd')?;
                while self.session.received.frame()?.is_some() {}
                self.session.received.fill(&mut self.session.socket).await?;
            }
        };
        let outcome: Result<Result<(), Error>, _> = timeout(SHUTDOWN, ended).await;
        debug!(target: "outbox.relay", orderly = outcome.is_ok(), "stream of the WAL closed");
        Ok(())
    }
}

/// Returns the error that a notice stands for: from version 18 on, PostgreSQL reports a missing publication as a
/// warning, and skips the rows that it would have published. Or else, returns a warning that the walsender waits for a
/// standby.
pub fn notice(body: &[u8], changes: Operation<'_>) -> Result<Option<ServerError>, Error> {
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

/// The header of the walsender's messages (PostgreSQL, "Streaming Replication Protocol").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The plugin's message follows.
    Data {
        start: Lsn,
        end: Lsn,
    },
    Keepalive {
        end: Lsn,
        reply: bool,
    },
}

impl Head {
    /// Returns the end of the server's WAL.
    pub fn end(self) -> Lsn {
        match self {
            Self::Data { end, .. } | Self::Keepalive { end, .. } => end,
        }
    }
}

/// The length of what comes before the plugin's message.
pub const DATA_HEAD: usize = 25;

pub fn parse_head(body: &[u8]) -> Result<Head, Error> {
    let lsn = |at: usize| {
        let bytes = body.get(at..)?.first_chunk()?;
        Some(Lsn::new(u64::from_be_bytes(*bytes)))
    };
    let head = match body.first() {
        Some(b'w') if body.len() >= DATA_HEAD => lsn(1).zip(lsn(9)).map(|(start, end)| Head::Data { start, end }),
        Some(b'k') => lsn(1).zip(body.get(17)).map(|(end, reply)| Head::Keepalive { end, reply: *reply == 1 }),
        _ => None,
    };
    head.ok_or_else(|| Error::protocol("a message of the walsender"))
}

/// Returns a standby status update. Before the first confirmation, the position is 0, which does not move the slot.
pub fn status_update(confirmed: Lsn, asks_for_reply: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(39);
    out.put_u8(b'd');
    out.put_u32(38);
    out.put_u8(b'r');
    // Written, flushed and applied positions are the same, so that the server reports the WAL in between in keepalives.
    for _ in 0..3 {
        out.put_u64(confirmed.as_u64());
    }
    out.put_i64(now());
    out.put_u8(u8::from(asks_for_reply));
    out
}

/// Returns microseconds since 2000.
fn now() -> i64 {
    const EPOCH: u128 = 946_684_800_000_000;
    let unix = wall_clock().duration_since(SystemTime::UNIX_EPOCH).map_or(EPOCH, |elapsed| elapsed.as_micros());
    i64::try_from(unix.saturating_sub(EPOCH)).unwrap_or_default()
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

#[cfg(test)]
mod status_tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_update_is_what_the_protocol_says() {
        let out = status_update(Lsn::new(7), true);
        assert_eq!(out.len(), 39);
        assert_eq!(&out[..6], b"d\0\0\0\x26r");
        assert_eq!(&out[6..14], &7_u64.to_be_bytes());
        assert_eq!(out[38], 1);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_head_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_head(&bytes);
        }
    }
}
