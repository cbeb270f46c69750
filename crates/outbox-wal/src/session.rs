use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use super::error::Error;
use super::frames::{Frame, Received};
use super::handshake;
use super::options::ConnectOptions;
use super::server_error::{Doing, ServerError};
use super::socket::Socket;

/// A connection that is ready for a query.
pub(super) struct Session {
    pub(super) socket: Socket,
    pub(super) received: Received,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Replication,
    Sql,
}

/// A row of a query's result, in text.
pub(super) type TextRow = Vec<Option<String>>;

impl Session {
    pub(super) async fn open(options: &ConnectOptions, purpose: Purpose) -> Result<Self, Error> {
        let connect = async {
            let socket = Socket::open(options).await?;
            let mut session = Self { socket, received: Received::default() };
            handshake::run(&mut session, options, purpose).await?;
            Ok(session)
        };
        match tokio::time::timeout(options.timeout, connect).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(Error::lost(elapsed.into())),
        }
    }

    /// Carries out one statement. An error leaves the session usable if the server reported it.
    pub(super) async fn query(&mut self, sql: &str, doing: Doing<'_>) -> Result<Vec<TextRow>, Error> {
        self.send_query(sql).await?;
        let (mut rows, mut error) = (Vec::new(), None);
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
                b'D' => rows.push(text_row(&body).ok_or_else(|| Error::protocol("a row"))?),
                b'E' => error = Some(ServerError::parse(&body).while_doing(doing)),
                b'Z' => return error.map_or(Ok(rows), Err),
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
        self.socket.write_all(bytes).await.map_err(Error::lost)?;
        self.socket.flush().await.map_err(Error::lost)
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
