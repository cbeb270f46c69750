use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::chunk::{Chunk, Report};
use super::error::{Error, Kind, Operation, ServerError};
use super::frames::{Frame, bodies};
use super::options::ConnectOptions;
use super::pipe::PipeSender;
use super::pump;
use super::session::{Purpose, Session};
use super::silence::Silence;
use super::slot::{SlotState, Source};
use super::sql::{self, literal};

/// The timeout of a statement with a slow consumer. The result holds back vacuum for this time.
const STATEMENT: Duration = Duration::from_secs(600);

/// A connection with a temporary copy of a slot, which is dropped with it.
pub struct SlotCopy {
    session: Session,
    pub name: String,
    pub pid: String,
}

/// A connection that copies slots.
pub struct CopyConnection {
    session: Session,
    pid: String,
}

impl CopyConnection {
    /// Connects.
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        Self::new(Session::open(options, Purpose::Sql).await?).await
    }

    /// Uses a connection that was opened for something else.
    pub async fn new(mut session: Session) -> Result<Self, Error> {
        session.query(&format!("SET statement_timeout = {}", STATEMENT.as_millis()), Operation::Query).await?;
        // The setting does not exist before version 14 and on some systems. A lost client is then noticed later.
        let notices_loss = session.query("SET client_connection_check_interval = '5s'", Operation::Query).await;
        debug!(target: "outbox.relay", notices_loss = notices_loss.is_ok(), "reading from copies of the slot");
        let pid = session.query("SELECT pg_catalog.pg_backend_pid()", Operation::Query).await?;
        let pid = pid.into_iter().flatten().flatten().next().ok_or_else(|| Error::protocol("a process id"))?;
        Ok(Self { session, pid })
    }

    /// Copies `slot`, which may itself be a copy.
    pub async fn copy(mut self, slot: &str) -> Result<SlotCopy, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("outbox_relay_{}_{}", self.pid, COUNT.fetch_add(1, Ordering::Relaxed));
        let (from, to) = (literal(slot), literal(&name));
        let sql = format!("SELECT pg_catalog.pg_copy_logical_replication_slot({from}, {to}, true)");
        self.session.query(&sql, Operation::CopySlot { slot }).await?;
        Ok(SlotCopy { session: self.session, name, pid: self.pid })
    }
}

impl SlotCopy {
    /// Drops the copy, and keeps the connection for another one.
    pub async fn discard(mut self) -> Result<CopyConnection, Error> {
        let drop = format!("SELECT pg_catalog.pg_drop_replication_slot({})", literal(&self.name));
        self.session.query(&drop, Operation::Query).await?;
        Ok(CopyConnection { session: self.session, pid: self.pid })
    }

    pub async fn state(&mut self) -> Result<SlotState, Error> {
        SlotState::read(&mut self.session, &self.name).await
    }

    /// Terminates a connection of the same user.
    pub async fn end(&mut self, pid: &str) -> Result<(), Error> {
        let sql = format!("SELECT pg_catalog.pg_terminate_backend({pid})");
        self.session.query(&sql, Operation::Query).await.map(drop)
    }

    /// Lets the server decode a chunk, from where the copy is.
    pub async fn begin(mut self, slot: SlotState, chunk: Chunk, source: &Source) -> Result<Decoding, Error> {
        let sql = format!(
            "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes({}, '{}', {},
             'proto_version', '1', 'publication_names', {}{})) TO STDOUT (FORMAT binary)",
            literal(&self.name),
            chunk.upto,
            chunk.messages,
            sql::publication_names(source.publication()),
            if source.has_messages() { ", 'messages', 'true'" } else { "" },
        );
        self.session.send_query(&sql).await?;
        Ok(Decoding { copy: self, slot, chunk, first: None })
    }
}

/// A chunk that the server decodes or transfers. The copy has moved when its first row is received.
pub struct Decoding {
    pub copy: SlotCopy,
    /// The position of the copy before.
    pub slot: SlotState,
    chunk: Chunk,
    first: Option<Piece>,
}

/// A piece of a chunk, as the server sends it.
enum Piece {
    /// Rows, as they were received.
    Rows(Bytes),
    End(Result<(), ServerError>),
}

impl Decoding {
    /// Waits until the server has decoded the chunk. Returns `false` if the consumer was dropped.
    pub async fn decoded(&mut self, pipe: &PipeSender, source: &Source) -> Result<bool, Error> {
        let (deadline, limit) = (Instant::now() + self.chunk.time_limit, self.chunk.time_limit * 2);
        self.first = tokio::select! {
            biased;
            () = pipe.closed() => return Ok(false),
            () = sleep_until(deadline) => return Err(self.too_large()),
            piece = piece(&mut self.copy.session, source, limit) => Some(piece?),
        };
        Ok(true)
    }

    /// Transfers the chunk to the consumer; `None` if the consumer was dropped.
    pub async fn hand_over(&mut self, pipe: &PipeSender, source: &Source) -> Result<Option<Report>, Error> {
        let silence = self.copy.session.timeouts.silence;
        let mut report = Report { messages: 0, bytes: 0, wal: 0 };
        loop {
            let piece = match self.first.take() {
                Some(piece) => piece,
                None => tokio::select! {
                    biased;
                    () = pipe.closed() => return Ok(None),
                    piece = piece(&mut self.copy.session, source, silence) => piece?,
                },
            };
            let rows = match piece {
                Piece::Rows(rows) => rows,
                Piece::End(Ok(())) => return Ok(Some(report)),
                // The chunk exceeded temp_file_limit, or the statement was cancelled: the chunk was too large.
                Piece::End(Err(e)) if report.messages == 0 && matches!(e.code.as_str(), "53400" | "57014") => {
                    return Err(self.too_large());
                }
                Piece::End(Err(e)) if e.code == "42501" => {
                    return Err(Error::new(Kind::NoCopy { slot: source.slot().into() }).because(e));
                }
                Piece::End(Err(e)) => return Err(e.while_doing(reading(source))),
            };

            report.messages += u64::try_from(bodies(&rows).count()).unwrap_or_default();
            report.bytes += u64::try_from(rows.len()).unwrap_or_default();

            let permit = tokio::select! {
                biased;
                () = pipe.closed() => return Ok(None),
                permit = pipe.room(rows.len()) => permit,
            };

            if !permit.is_some_and(|permit| pipe.send(rows, permit)) {
                return Ok(None);
            }
        }
    }

    fn too_large(&self) -> Error {
        Error::new(Kind::TransactionTooLarge { after: self.slot.confirmed_flush_lsn })
    }
}

/// Reads the next piece. Nothing is lost when the future is dropped, except an error of a server that closes the
/// connection. Fails if the server is silent for longer than the limit.
async fn piece(session: &mut Session, source: &Source, limit: Duration) -> Result<Piece, Error> {
    let (mut error, mut silence) = (None, Silence::new());
    loop {
        if let Some(rows) = session.received.run(b'd')? {
            return Ok(Piece::Rows(rows));
        }
        match session.received.frame()? {
            Some(Frame { tag: b'E', body }) => error = Some(ServerError::parse(&body)),
            Some(Frame { tag: b'N', body }) => _ = pump::notice(&body, reading(source))?,
            Some(Frame { tag: b'Z', .. }) => return Ok(Piece::End(error.map_or(Ok(()), Err))),
            Some(_) => {}
            None => match (session.fill_within(&mut silence, limit).await, error.take()) {
                // After a FATAL error, the server closes the connection.
                (Err(_), Some(fatal)) => return Ok(Piece::End(Err(fatal))),
                (filled, before) => {
                    filled?;
                    error = before;
                }
            },
        }
    }
}

fn reading(source: &Source) -> Operation<'_> {
    Operation::ReadChanges { slot: source.slot(), publication: source.publication() }
}
