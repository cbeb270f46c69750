//! A new connection: TCP, TLS, versions, login.

use std::io;

use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::client_properties::SecuritySettings;
use super::connection::Connection;
use super::error::{Error, Kind};
use super::{Settings, frames, login};

/// Connects, agrees on versions and logs in.
pub(crate) async fn connect(broker: &str, settings: &Settings) -> Result<Connection, Error> {
    let deadline = Instant::now() + settings.connect_timeout;
    timeout_at(deadline, establish(broker, settings))
        .await
        .unwrap_or_else(|_| Err(Error::new(Kind::ConnectTimeout(settings.connect_timeout))))
        .map_err(|e| e.at(broker))
}

/// Connects as [`connect`] does, without a limit for the whole.
async fn establish(broker: &str, settings: &Settings) -> Result<Connection, Error> {
    let security = settings.security.current()?;
    let tls = security.client_config().await?;
    let (host, port) = outbox_net::host_and_port(broker).ok_or_else(|| Error::new(Kind::Address))?;
    // The remaining time is for TLS and the login.
    let stream = outbox_net::connect(host, port, settings.connect_timeout * 3 / 4)
        .await
        .map_err(|e| Error::new(Kind::Connect).because(e))?;

    let has_tls = tls.is_some();
    let connection = match tls {
        None => {
            let (reader, writer) = stream.into_split();
            Connection::over(reader, writer, broker, settings)
        }
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|e| Error::new(Kind::Address).because(e))?;
            let stream =
                TlsConnector::from(config).connect(name, stream).await.map_err(|e| handshake_failed(&security, e))?;
            let (reader, writer) = tokio::io::split(stream);
            Connection::over(reader, writer, broker, settings)
        }
    };
    // In TLS 1.3, a broker rejects the client's certificate after the client has finished its handshake.
    connection.negotiate().await.map_err(|e| first_answer_failed(&security, e))?;

    if let Some(sasl) = &security.sasl {
        if !has_tls {
            sasl.warn_without_tls(broker);
        }
        if let Some(lifetime) = login::log_in(sasl, &connection).await? {
            connection.limit_session(lifetime);
        }
    }
    Ok(connection)
}

fn handshake_failed(security: &SecuritySettings, error: io::Error) -> Error {
    let kind = match security.tls.as_ref().and_then(|tls| tls.fault(&error)) {
        Some(fault) => Kind::Tls(fault),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Kind::TlsClosed,
        None => Kind::Connect,
    };
    Error::new(kind).because(error)
}

fn first_answer_failed(security: &SecuritySettings, error: Error) -> Error {
    match security.tls.as_ref().and_then(|tls| tls.fault(&error)) {
        Some(fault) => Error::new(Kind::Tls(fault)).because(error),
        None if frames::is_tls(&error) => Error::new(Kind::TlsRequired).because(error),
        None => error,
    }
}
