use outbox_core::uuid::Uuid;

use crate::settings::{PostgresSettings, SslMode};
use outbox_wal::{ConnectOptions, Pem, Tls, TlsMode};

/// Returns how to connect to the database of the settings. The application's name is unique: by it the relay recognises
/// its own walsender.
pub(super) fn options(postgres: &PostgresSettings) -> ConnectOptions {
    let mode = match postgres.ssl() {
        SslMode::Disable => TlsMode::Disable,
        SslMode::Prefer => TlsMode::Prefer,
        SslMode::Require => TlsMode::Require,
        SslMode::VerifyCa => TlsMode::VerifyCa,
        SslMode::VerifyFull => TlsMode::VerifyFull,
    };
    let mut tls = Tls::new();
    if let Some(path) = postgres.root_certificate() {
        tls = tls.roots(Pem::file(path));
    }
    if let Some(identity) = postgres.client_certificate() {
        tls = tls.identity(Pem::file(&identity.certificate), Pem::file(&identity.key));
    }
    let (first, others) = match postgres.servers() {
        [first, others @ ..] => ((first.0.as_str(), first.1), others),
        [] => (("localhost", 5432), &[][..]),
    };
    let options = ConnectOptions::new(first.0, first.1, postgres.user(), postgres.database());
    let options = others.iter().fold(options, |options, (host, port)| options.or_server(host, *port));
    let options = options
        .server_role(postgres.server_role())
        .application_name(format!("outbox-relay {}", Uuid::now_v7()))
        .tls_mode(mode)
        .tls(tls);
    match postgres.password() {
        Some(password) => options.password(password.clone()),
        None => options,
    }
}
