use bytes::BytesMut;
use postgres_protocol::authentication;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;
use tracing::debug;

use super::error::{Error, Kind};
use super::frames::Frame;
use super::options::ConnectOptions;
use super::server_error::{Operation, ServerError};
use super::session::{Purpose, Session};

/// The forms of values and the limits of statements, whatever the database and the role are set to. From version 18 on,
/// PostgreSQL reports a missing publication only as a warning.
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
pub(super) async fn run(session: &mut Session, options: &ConnectOptions, purpose: Purpose) -> Result<(), Error> {
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
        (0, _) => return Ok(()),
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
                // The server learns of it if somebody has left out what it had offered.
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
            begun.update(data).map_err(|source| Error::new(Kind::Impostor).because(source))?;
            frontend::sasl_response(begun.message(), &mut out).map_err(Error::lost)?;
        }
        (12, Some(begun)) => return begun.finish(data).map_err(|source| Error::new(Kind::Impostor).because(source)),
        _ => return Err(Error::new(Kind::NoPassword)),
    }
    session.send(&out).await
}
