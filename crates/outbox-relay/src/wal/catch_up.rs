use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, Span, debug};

use super::chunk::{self, Chunk, Report};
use super::error::WalError;
use super::frames::{Frame, bodies};
use super::options::ConnectOptions;
use super::pipe::{Budget, PipeReceiver, PipeSender};
use super::pump;
use super::server_error::{Doing, ServerError};
use super::session::{Purpose, Session};
use super::slot::{SlotState, Source};
use super::sql::{self, literal};
use crate::Lsn;

/// The bound of a statement, with a consumer that takes its time; the result holds back vacuum as long.
const STATEMENT: Duration = Duration::from_secs(600);

/// How far a copy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Until little ends in much WAL, as within a large transaction; the rest is for the stream.
    ToLargeTransaction,
    #[cfg_attr(not(test), expect(dead_code, reason = "other databases of the server write much WAL in tests"))]
    ToEnd,
}

/// Reads what a slot holds from a temporary copy of it, by function: PostgreSQL's decoder is several times as fast
/// as its stream. The slot itself is not moved. The copy goes with the connection, and that with this value.
pub(crate) struct CatchUp {
    pipe: PipeReceiver,
    until: Lsn,
}

impl CatchUp {
    /// Reads from the slot's confirmed position to where the stream was started.
    pub(super) async fn open(
        options: &ConnectOptions,
        source: &Source,
        until: Lsn,
        reach: Reach,
    ) -> Result<Self, WalError> {
        let mut session = Session::open(options, Purpose::Sql).await?;
        session.query(&format!("SET statement_timeout = {}", STATEMENT.as_millis()), Doing::Query).await?;
        // Unknown before version 14, and on some systems: then a lost client is noticed later.
        let notices_loss = session.query("SET client_connection_check_interval = '5s'", Doing::Query).await;
        debug!(target: "outbox.relay", notices_loss = notices_loss.is_ok(), "catching up from a copy of the slot");
        let copy = copy(&mut session, source).await?;
        let (sender, receiver) = PipeSender::new(Budget::CHUNK);
        let reader = Reader { session, copy, source: source.clone(), until, reach, pipe: sender };
        let span = tracing::debug_span!(
            target: "outbox.relay", "catch_up", slot = source.slot.as_str(), %until, messages = tracing::field::Empty
        );
        let pipe = receiver.run(tokio::spawn(reader.run().instrument(span)));
        Ok(Self { pipe, until })
    }

    /// The next message of pgoutput; none when all was read. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WalError> {
        loop {
            let Some(body) = self.pipe.next().await? else { return Ok(None) };
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
    }

    /// The next message, if it is here already.
    pub(crate) fn buffered(&mut self) -> Result<Option<Bytes>, WalError> {
        while let Some(body) = self.pipe.buffered() {
            if let Some(data) = data(body)? {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Ends the reading early, and waits until the copy is gone.
    pub(crate) async fn close(self) -> Result<(), WalError> {
        self.pipe.close().await
    }
}

impl fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchUp").field("until", &self.until).finish_non_exhaustive()
    }
}

async fn copy(session: &mut Session, source: &Source) -> Result<String, WalError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let slot = source.slot.as_str();
    let pid = session.query("SELECT pg_catalog.pg_backend_pid()", Doing::Query).await?;
    let pid = pid.into_iter().flatten().flatten().next().ok_or(WalError::Protocol("a process id"))?;
    let copy = format!("outbox_relay_{pid}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let sql =
        format!("SELECT pg_catalog.pg_copy_logical_replication_slot({}, {}, true)", literal(slot), literal(&copy));
    session.query(&sql, Doing::CopySlot { slot }).await?;
    Ok(copy)
}

/// The task that calls the function, chunk by chunk.
struct Reader {
    session: Session,
    copy: String,
    source: Source,
    until: Lsn,
    reach: Reach,
    pipe: PipeSender,
}

impl Reader {
    async fn run(mut self) -> Result<(), WalError> {
        let (mut last, mut messages) = (None, 0);
        let mut slot = SlotState::read(&mut self.session, &self.copy).await?;
        while slot.confirmed < self.until {
            let chunk = chunk::next(slot, self.until, last);
            let Some(read) = self.read(chunk, slot).await? else { return Ok(()) };
            messages += read.messages;
            let before = slot;
            slot = SlotState::read(&mut self.session, &self.copy).await?;
            if slot.confirmed <= before.confirmed {
                return Err(WalError::Protocol("a copy of the slot that does not move"));
            }
            let is_cut_short = self.reach == Reach::ToLargeTransaction && slot.confirmed < self.until;
            if is_cut_short && chunk::has_few_ends(before, slot, read) {
                return Err(WalError::FewEnds { until: slot.confirmed });
            }
            let wal = slot.confirmed.as_u64().saturating_sub(before.restart.as_u64());
            last = Some(Report { wal, ..read });
        }
        Span::current().record("messages", messages);
        debug!(target: "outbox.relay", "caught up");
        Ok(())
    }

    /// Reads a chunk; none when the consumer is gone.
    async fn read(&mut self, chunk: Chunk, slot: SlotState) -> Result<Option<Report>, WalError> {
        let deadline = Instant::now() + chunk.time_limit;
        let changes =
            Doing::ReadChanges { slot: self.source.slot.as_str(), publication: self.source.publication.as_str() };
        let sql = format!(
            "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes({}, '{}', {},
             'proto_version', '1', 'publication_names', {})) TO STDOUT (FORMAT binary)",
            literal(&self.copy),
            chunk.upto,
            chunk.messages,
            sql::publication_names(&self.source.publication),
        );
        self.session.send_query(&sql).await?;
        let mut report = Report { messages: 0, bytes: 0, wal: 0 };
        let mut error = None;
        loop {
            if let Some(run) = self.session.received.run(b'd')? {
                report.messages += u64::try_from(bodies(&run).count()).unwrap_or_default();
                report.bytes += u64::try_from(run.len()).unwrap_or_default();
                let permit = tokio::select! {
                    biased;
                    () = self.pipe.closed() => return Ok(None),
                    permit = self.pipe.room(run.len()) => permit,
                };
                if !permit.is_some_and(|permit| self.pipe.send(run, permit)) {
                    return Ok(None);
                }
                continue;
            }
            if let Some(Frame { tag, body }) = self.session.received.frame()? {
                match tag {
                    b'E' => error = Some(ServerError::parse(&body)),
                    b'N' => pump::notice(&body, changes)?,
                    b'Z' => {
                        return match error {
                            None => Ok(Some(report)),
                            // Over temp_file_limit, or cancelled: it was too much to be kept.
                            Some(error) if report.messages == 0 && matches!(error.code.as_str(), "53400" | "57014") => {
                                Err(WalError::TransactionTooLarge { after: slot.confirmed })
                            }
                            Some(error) => Err(error.while_doing(changes)),
                        };
                    }
                    _ => {}
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.pipe.closed() => return Ok(None),
                () = sleep_until(deadline), if report.messages == 0 => {
                    return Err(WalError::TransactionTooLarge { after: slot.confirmed });
                }
                filled = self.session.received.fill(&mut self.session.socket) => match (filled, error.take()) {
                    (Err(_), Some(fatal)) => return Err(ServerError::while_doing(fatal, changes)),
                    (filled, before) => {
                        filled?;
                        error = before;
                    }
                }
            }
        }
    }
}

/// The message within a row of `COPY … (FORMAT binary)`, which the header precedes and an empty row ends.
fn data(mut row: Bytes) -> Result<Option<Bytes>, WalError> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const END: &[u8] = &[0xff, 0xff];
    if row.starts_with(HEADER) {
        row = row.slice(HEADER.len()..);
    }
    if row.is_empty() || *row == *END {
        return Ok(None);
    }
    let length = match row.split_first_chunk::<6>() {
        Some(([0, 1, length @ ..], rest)) => {
            usize::try_from(u32::from_be_bytes(*length)).ok().filter(|l| *l == rest.len())
        }
        _ => None,
    };
    match length {
        Some(_) => Ok(Some(row.slice(6..))),
        None => Err(WalError::Protocol("a row of COPY")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_copy() {
        let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice();
        let row = b"\0\x01\0\0\0\x02ab".as_slice();
        assert_eq!(data(Bytes::from([header, row].concat())).unwrap().as_deref(), Some(b"ab".as_slice()));
        assert_eq!(data(Bytes::from_static(b"\0\x01\0\0\0\x00")).unwrap().as_deref(), Some(b"".as_slice()));
        assert_eq!(data(Bytes::from_static(header)).unwrap(), None);
        assert_eq!(data(Bytes::from_static(b"\xff\xff")).unwrap(), None);
        for bad in [b"\0\x01\0\0\0\x03ab".as_slice(), b"\0\x02\0\0\0\x02ab", b"\0\x01\xff\xff\xff\xff", b"x"] {
            assert!(data(Bytes::from_static(bad)).is_err());
        }
    }
}
