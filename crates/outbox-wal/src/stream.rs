use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::sync::watch;
use tokio::time::timeout;

use super::error::{Error, Operation, ServerError};
use super::frames::Frame;
use super::options::{ConnectOptions, Timeouts};
use super::pipe::{Budget, PipeReceiver, PipeSender};
use super::pump::{self, DATA_HEAD, Head, Pump};
use super::session::Session;
use super::slot::Source;
use super::sql;
use crate::Lsn;

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalMessage {
    /// A message of pgoutput.
    Data {
        /// Its position in the WAL.
        start: Lsn,
        /// The plugin's output.
        data: Bytes,
    },
    /// Everything that commits before `end` was sent. `reply` was answered already.
    Keepalive {
        /// The end of the WAL that was decoded.
        end: Lsn,
        /// Whether the server asks for a status at once.
        reply: bool,
    },
}

/// An open walsender: it holds the slot until it is closed or dropped.
///
/// A task reads the socket, no more than a bounded number of bytes ahead of the consumer, and keeps the walsender
/// connected regardless of the consumer's speed. Dropping reports the last confirmed position to the server, in the
/// background; [`close`](Self::close) waits for it.
pub struct WalStream {
    pipe: PipeReceiver,
    confirmed: watch::Sender<Lsn>,
    wal_end: Arc<AtomicU64>,
    floor: Lsn,
}

impl WalStream {
    /// Takes the slot and streams the transactions that commit from `start` on; 0 stands for the slot's confirmed
    /// position.
    pub(super) async fn start(
        mut session: Session,
        options: &ConnectOptions,
        source: &Source,
        start: Lsn,
    ) -> Result<Self, Error> {
        let server_timeout = sender_timeout(&mut session).await?;
        raise_decoding_memory(&mut session).await?;
        let slot = source.slot();
        let command = start_command(source, start);
        session.send_query(&command).await?;
        let changes = Operation::ReadChanges { slot, publication: source.publication() };
        let started = async {
            loop {
                let Frame { tag, body } = session.frame().await?;
                match tag {
                    b'W' => return Ok(()),
                    b'E' => return Err(ServerError::parse(&body).while_doing(Operation::TakeSlot { slot })),
                    b'N' => _ = pump::notice(&body, changes)?,
                    _ => {}
                }
            }
        };

        let Timeouts { statement, .. } = options.timeouts;
        timeout(statement, started).await.unwrap_or_else(|_| Err(Error::silent(statement)))?;

        let (sender, receiver) = PipeSender::new(Budget::STREAM);
        let (confirmed, watched) = watch::channel(Lsn::default());
        let wal_end = Arc::new(AtomicU64::new(0));
        let (source, options) = (source.clone(), options.clone());
        let pump = Pump::new(session, sender, watched, Arc::clone(&wal_end), source, options, server_timeout);
        let pipe = receiver.run(tokio::spawn(pump.run()));
        Ok(Self { pipe, confirmed, wal_end, floor: Lsn::default() })
    }

    /// Returns the confirmed position of the slot. PostgreSQL before 17 would accept a lower position and move the slot
    /// back.
    pub(super) fn floor(self, floor: Lsn) -> Self {
        Self { floor, ..self }
    }

    /// Waits for the next message. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<WalMessage, Error> {
        let body = self.pipe.next().await?.ok_or_else(Error::hung_up)?;
        message(body)
    }

    /// Waits until the connection ends, and returns the reason. Messages that were received before stay to be taken.
    pub async fn ended(&mut self) -> Error {
        self.pipe.end().await.err().unwrap_or_else(Error::hung_up)
    }

    /// Returns the next message, if it was received already. If there is none, it is a good time to send a batch.
    pub fn buffered(&mut self) -> Result<Option<WalMessage>, Error> {
        self.pipe.buffered().map(message).transpose()
    }

    /// Confirms that everything before this position is stored elsewhere, so that PostgreSQL may remove it. A
    /// transaction leaves the slot only at the end of its commit. A lower position is ignored.
    pub fn confirm(&self, lsn: Lsn) {
        let floor = self.floor;
        self.confirmed.send_if_modified(|confirmed| {
            let is_ahead = lsn > *confirmed && lsn > floor;
            if is_ahead {
                *confirmed = lsn;
            }
            is_ahead
        });
    }

    /// Returns the end of the server's WAL, as it was reported last.
    pub fn wal_end(&self) -> Lsn {
        Lsn::new(self.wal_end.load(Ordering::Relaxed))
    }

    /// Reports the last confirmed position to the server, and waits until it has released the slot.
    pub async fn close(self) -> Result<(), Error> {
        self.pipe.close().await
    }
}

impl fmt::Debug for WalStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalStream").field("confirmed", &*self.confirmed.borrow()).finish_non_exhaustive()
    }
}

fn message(mut body: Bytes) -> Result<WalMessage, Error> {
    Ok(match pump::parse_head(&body)? {
        Head::Data { start, .. } => {
            body.advance(DATA_HEAD);
            WalMessage::Data { start, data: body }
        }
        Head::Keepalive { end, reply } => WalMessage::Keepalive { end, reply },
    })
}

fn start_command(source: &Source, start: Lsn) -> String {
    let slot = sql::identifier(source.slot());
    let publications = sql::publication_names(source.publication());
    let messages = if source.has_messages() { ", \"messages\" 'true'" } else { "" };
    format!(
        "START_REPLICATION SLOT {slot} LOGICAL {start} \
         (\"proto_version\" '1', \"publication_names\" {publications}{messages})"
    )
}

/// Returns the silence after which the walsender gives up.
async fn sender_timeout(session: &mut Session) -> Result<Duration, Error> {
    let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
    let rows = session.query(sql, Operation::Query).await?;
    let millis = rows.into_iter().flatten().flatten().next().and_then(|text| text.parse().ok());
    match millis.ok_or_else(|| Error::protocol("the setting wal_sender_timeout"))? {
        // It never gives up.
        0 => Ok(Duration::MAX),
        millis => Ok(Duration::from_millis(millis)),
    }
}

/// Raises the memory that the server may use for a large transaction before it writes it to files and reads it again:
/// with PostgreSQL's own 64 MB that is two fifths of the time that it needs. A setting of the user or the database
/// stays, and so does a larger value.
async fn raise_decoding_memory(session: &mut Session) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.set_config(name, '256MB', false) FROM pg_catalog.pg_settings
               WHERE name = 'logical_decoding_work_mem' AND setting::pg_catalog.int8 < 262144
               AND source NOT IN ('database', 'user', 'database user')";
    session.query(sql, Operation::Query).await.map(drop)
}
