use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::debug;

use super::error::{Error, Kind, Operation, ServerError};
use super::frames::{Frame, Received};
use super::options::{ConnectOptions, Timeouts};
use super::silence::Silence;
use super::socket::Socket;

/// A connection that is ready for a query.
pub struct Session {
    pub socket: Socket,
    pub received: Received,
    pub timeouts: Timeouts,
    has_open_transaction: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// The status of ReadyForQuery outside a transaction.
const IDLE: &[u8] = b"I";

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Replication,
    Sql,
}

/// Lifts the limits of the role or the database that end a session which reads for long. The parameters of the startup
/// lift those that every version has. These two are newer (14 and 17), and a server rejects a parameter that it does
/// not know.
const NO_LIMITS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name IN ('idle_session_timeout', 'transaction_timeout') AND setting <> '0'";

/// A row of a query's result, in text.
pub type TextRow = Vec<Option<String>>;

impl Session {
    pub async fn open(options: &ConnectOptions, purpose: Purpose) -> Result<Self, Error> {
        let connect = async {
            let socket = Socket::open(options).await?;
            let (received, timeouts) = (Received::default(), options.timeouts);
            let mut session = Self { socket, received, timeouts, has_open_transaction: false };
            log_in(&mut session, options, purpose).await?;
            session.query(NO_LIMITS, Operation::Query).await?;
            Ok(session)
        };
        let limit = options.timeouts.connect;
        timeout(limit, connect).await.unwrap_or_else(|_| Err(Error::silent(limit)))
    }

    /// Executes one statement, and returns its rows as text. After an error that the server reported, the session stays
    /// usable.
    pub async fn query(&mut self, sql: &str, doing: Operation<'_>) -> Result<Vec<TextRow>, Error> {
        let mut rows = Vec::new();
        let keep = |body: &[u8]| {
            rows.push(text_row(body).ok_or_else(|| Error::protocol("a row"))?);
            Ok(())
        };
        self.run(sql, doing, keep).await?;
        Ok(rows)
    }

    /// Executes statements of a configuration, and discards their rows. Fails if they leave a transaction open.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Error> {
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

    /// Sends a query, and passes each row to `row` until the server is ready again. The error of the server is returned
    /// only then, so that the session stays usable.
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
                // After a FATAL error, the server closes the connection.
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

    pub async fn send_query(&mut self, sql: &str) -> Result<(), Error> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(Error::lost)?;
        self.send(&out).await
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let limit = self.timeouts.silence;
        let sent = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        timeout(limit, sent).await.map_err(|_| Error::silent(limit))?.map_err(Error::lost)
    }

    /// Reads from the socket once. Fails if the server has been silent for too long.
    pub async fn fill_within(&mut self, silence: &mut Silence, limit: Duration) -> Result<(), Error> {
        let filled = timeout(silence.left(limit), self.received.fill(&mut self.socket)).await;
        silence.received(filled.unwrap_or_else(|_| Err(Error::silent(limit)))?);
        Ok(())
    }

    pub async fn frame(&mut self) -> Result<Frame, Error> {
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

/// The settings of the session: the forms of values and the timeouts of statements, regardless of the defaults of the
/// database and the role. From version 18 on, PostgreSQL reports a missing publication only as a warning.
const PARAMETERS: [(&str, &str); 10] = [
    ("client_min_messages", "warning"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// Runs the startup and the proof of the password, until the server reports that it is ready.
pub async fn log_in(session: &mut Session, options: &ConnectOptions, purpose: Purpose) -> Result<(), Error> {
    let mut out = BytesMut::new();
    let mut parameters = vec![
        ("user", options.user.as_str()),
        ("database", options.database.as_str()),
        ("application_name", options.application_name.as_str()),
    ];
    parameters.extend(PARAMETERS);
    if purpose == Purpose::Replication {
        parameters.push(("replication", "database"));
    }

    frontend::startup_message(parameters, &mut out).map_err(Error::lost)?;
    session.send(&out).await?;
    let mut scram = None;

    loop {
        let Frame { tag, body } = session.frame().await.map_err(Error::or_tls)?;
        match tag {
            b'R' => answer(session, options, &body, &mut scram).await?,
            b'E' => return Err(ServerError::parse(&body).while_doing(Operation::Connect)),
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

/// Answers one authentication request of the server.
async fn answer(
    session: &mut Session,
    options: &ConnectOptions,
    request: &[u8],
    scram: &mut Option<ScramSha256>,
) -> Result<(), Error> {
    let malformed = || Error::protocol("a request to authenticate");
    let (code, data) = request.split_first_chunk().ok_or_else(malformed)?;
    let (code, needs_password) = (u32::from_be_bytes(*code), matches!(code, [0, 0, 0, 3 | 5 | 10]));
    let password = match &options.password {
        Some(source) if needs_password => Some(source.read().await.map_err(Error::secret)?),
        _ => None,
    };
    let password =
        || password.as_ref().map(|secret| secret.expose().as_bytes()).ok_or_else(|| Error::new(Kind::NoPassword));

    let mut out = BytesMut::new();
    match (code, scram.as_mut()) {
        // The server ends the authentication without proof that it knows the password, or begins another one.
        (0 | 3 | 5 | 10, Some(_)) => return Err(Error::new(Kind::Impostor)),
        (0, None) => return Ok(()),
        (3, _) => frontend::password_message(password()?, &mut out).map_err(Error::lost)?,
        (5, _) => {
            let salt = data.first_chunk().ok_or_else(malformed)?;
            let hash = authentication::md5_hash(options.user.as_bytes(), password()?, *salt);
            frontend::password_message(hash.as_bytes(), &mut out).map_err(Error::lost)?;
        }
        (10, _) => {
            let offers = |wanted: &str| data.split(|byte| *byte == 0).any(|mechanism| mechanism == wanted.as_bytes());
            let (mechanism, binding) = match session.socket.channel_binding() {
                Some(binding) if offers(SCRAM_SHA_256_PLUS) => (SCRAM_SHA_256_PLUS, binding),
                // The server detects a downgrade if its offer was removed on the way.
                Some(_) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
                None => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            };
            if !offers(mechanism) {
                return Err(Error::new(Kind::NoPassword));
            }

            debug!(target: "outbox.relay", mechanism, "proving the password to PostgreSQL");
            let begun = scram.insert(ScramSha256::new(password()?, binding));
            frontend::sasl_initial_response(mechanism, begun.message(), &mut out).map_err(Error::lost)?;
        }
        (11, Some(begun)) => {
            begun.update(data).map_err(|source| Error::new(rejected_challenge(data)).because(source))?;
            frontend::sasl_response(begun.message(), &mut out).map_err(Error::lost)?;
        }
        (12, Some(begun)) => {
            begun.finish(data).map_err(|source| Error::new(Kind::Impostor).because(source))?;
            *scram = None;
            return Ok(());
        }
        _ => return Err(Error::new(Kind::NoPassword)),
    }
    session.send(&out).await
}

/// The most iterations that `postgres-protocol` computes.
const MOST_ITERATIONS: u32 = 100_000;

/// Returns why a server's SCRAM message is rejected. The message ends with the number of iterations (RFC 5802, "i=").
fn rejected_challenge(data: &[u8]) -> Kind {
    let iterations = std::str::from_utf8(data).ok().and_then(|text| text.rsplit_once(",i=")?.1.parse().ok());
    match iterations {
        Some(iterations) if iterations > MOST_ITERATIONS => Kind::ScramIterations { iterations },
        _ => Kind::Impostor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_iterations_are_named() {
        assert_eq!(rejected_challenge(b"r=abc,s=QQ==,i=200000"), Kind::ScramIterations { iterations: 200_000 });
        for other in [b"r=abc,s=QQ==,i=4096".as_slice(), b"r=abc,s=QQ==,i=x", b"r=abc", b"\xff,i=200000"] {
            assert_eq!(rejected_challenge(other), Kind::Impostor);
        }
    }
}
