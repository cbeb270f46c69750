use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::error::{Error, Kind};
use super::frames::{Frame, Received};
use super::handshake;
use super::options::ConnectOptions;
use super::server_error::{Operation, ServerError};
use super::socket::Socket;
use super::timeouts::Timeouts;

/// A connection that is ready for a query.
pub(super) struct Session {
    pub(super) socket: Socket,
    pub(super) received: Received,
    pub(super) timeouts: Timeouts,
    has_open_transaction: bool,
}

/// The status of ReadyForQuery outside a transaction.
const IDLE: &[u8] = b"I";

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Replication,
    Sql,
}

/// Lifts the limits of the role or the database that end a session which reads for long. The parameters of the startup
/// lift those that every version has. These two are newer (14 and 17), and a server rejects a parameter that it does
/// not know.
const NO_LIMITS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name IN ('idle_session_timeout', 'transaction_timeout') AND setting <> '0'";

/// A row of a query's result, in text.
pub(super) type TextRow = Vec<Option<String>>;

impl Session {
    pub(super) async fn open(options: &ConnectOptions, purpose: Purpose) -> Result<Self, Error> {
        let connect = async {
            let socket = Socket::open(options).await?;
            let (received, timeouts) = (Received::default(), options.timeouts);
            let mut session = Self { socket, received, timeouts, has_open_transaction: false };
            handshake::run(&mut session, options, purpose).await?;
            session.query(NO_LIMITS, Operation::Query).await?;
            Ok(session)
        };
        let limit = options.timeouts.connect;
        timeout(limit, connect).await.unwrap_or_else(|_| Err(Error::silent(limit)))
    }

    /// Carries out one statement. An error leaves the session usable if the server reported it.
    pub(super) async fn query(&mut self, sql: &str, doing: Operation<'_>) -> Result<Vec<TextRow>, Error> {
        let mut rows = Vec::new();
        let keep = |body: &[u8]| {
            rows.push(text_row(body).ok_or_else(|| Error::protocol("a row"))?);
            Ok(())
        };
        self.run(sql, doing, keep).await?;
        Ok(rows)
    }

    /// Carries out statements of others, and discards their rows. Fails if they leave a transaction open.
    pub(super) async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        self.run(sql, Operation::Execute, |_| Ok(())).await?;
        match self.has_open_transaction {
            true => Err(Error::new(Kind::OpenTransaction)),
            false => Ok(()),
        }
    }

    async fn run(
        &mut self,
        sql: &str,
        doing: Operation<'_>,
        row: impl FnMut(&[u8]) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let limit = self.timeouts.statement;
        timeout(limit, self.answer(sql, doing, row)).await.unwrap_or_else(|_| Err(Error::silent(limit)))
    }

    async fn answer(
        &mut self,
        sql: &str,
        doing: Operation<'_>,
        mut row: impl FnMut(&[u8]) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        self.send_query(sql).await?;
        let mut error = None;
        loop {
            let Frame { tag, body } = match (self.frame().await, error.take()) {
                // After a FATAL error the server hangs up.
                (Err(_), Some(fatal)) => return Err(fatal),
                (frame, before) => {
                    error = before;
                    frame?
                }
            };
            match tag {
                b'D' => row(&body)?,
                b'E' => error = Some(ServerError::parse(&body).while_doing(doing)),
                b'Z' => {
                    self.has_open_transaction = *body != *IDLE;
                    return error.map_or(Ok(()), Err);
                }
                _ => {}
            }
        }
    }

    pub(super) async fn send_query(&mut self, sql: &str) -> Result<(), Error> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(Error::lost)?;
        self.send(&out).await
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let limit = self.timeouts.silence;
        let sent = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        timeout(limit, sent).await.map_err(|_| Error::silent(limit))?.map_err(Error::lost)
    }

    pub(super) async fn frame(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.received.frame()? {
                return Ok(frame);
            }
            self.received.fill(&mut self.socket).await?;
        }
    }
}

fn text_row(body: &[u8]) -> Option<TextRow> {
    let (count, mut rest) = body.split_first_chunk()?;
    let mut row = TextRow::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk()?;
        rest = after;
        let length = i32::from_be_bytes(*length);
        if length < 0 {
            row.push(None);
            continue;
        }
        let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        row.push(Some(String::from_utf8(value.to_vec()).ok()?));
        rest = after;
    }
    Some(row)
}
