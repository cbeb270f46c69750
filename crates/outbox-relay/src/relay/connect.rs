use outbox_core::uuid::Uuid;

use crate::error::Error;
use crate::settings::{PostgresSettings, SslMode};
use outbox_wal::{ConnectOptions, Tls, TlsMode};

/// How long PostgreSQL may take to let the relay in.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(10);

/// How the settings' database is reached. The application's name is this relay's own: by it the relay recognises that
/// it is still the one that holds the slot.
pub(crate) fn options(postgres: &PostgresSettings) -> Result<ConnectOptions, Error> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|e| Error::settings(format!("{} cannot be read", path.display())).caused_by(e))
    };
    let mut tls = Tls::new(match postgres.ssl() {
        SslMode::Disable => TlsMode::Disable,
        SslMode::Prefer => TlsMode::Prefer,
        SslMode::Require => TlsMode::Require,
        SslMode::VerifyCa => TlsMode::VerifyCa,
        SslMode::VerifyFull => TlsMode::VerifyFull,
    });
    if let Some(path) = postgres.root_certificate() {
        tls = tls.roots(read(path)?);
    }
    if let Some(identity) = postgres.client_certificate() {
        tls = tls.identity(read(&identity.certificate)?, read(&identity.key)?);
    }
    let options = ConnectOptions::new(postgres.host(), postgres.port(), postgres.user(), postgres.database())
        .application_name(format!("outbox-relay {}", Uuid::now_v7()))
        .timeout(CONNECT)
        .tls(tls);
    Ok(match postgres.password() {
        Some(password) => options.password(password.expose()),
        None => options,
    })
}
