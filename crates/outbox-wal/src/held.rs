use super::error::Error;
use super::options::ConnectOptions;
use super::server_error::Operation;
use super::session::{Purpose, Session};
use super::slot::Source;
use super::sql::literal;

/// Returns whether the slot is held by a walsender of this application's name, which has to be the caller's own.
pub async fn is_held(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    of_own_walsender(options, source, "true").await.map(|found| found.is_some())
}

/// Ends a walsender of this application's name that still holds the slot, such as that of a connection that hangs.
/// Returns whether there was one. The application's name has to be the caller's own.
pub async fn end_own_walsender(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    // The server answers before the statement's timeout.
    let wait = (options.timeouts.statement / 2).as_millis();
    let ended = of_own_walsender(options, source, &format!("pg_catalog.pg_terminate_backend(a.pid, {wait})")).await?;
    Ok(ended.is_some())
}

/// Returns whether the slot's walsender is at work, and waits neither for WAL nor for its client.
pub(super) async fn is_decoding(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    let is_busy = "coalesce(a.wait_event_type NOT IN ('Activity', 'Client'), true)";
    Ok(of_own_walsender(options, source, is_busy).await?.as_deref() == Some("t"))
}

/// Returns an expression of the walsender's row in `pg_stat_activity`.
async fn of_own_walsender(
    options: &ConnectOptions,
    source: &Source,
    expression: &str,
) -> Result<Option<String>, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT {expression}
         FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
         WHERE s.slot_name = {} AND a.application_name = {}",
        literal(source.slot()),
        literal(&options.application_name)
    );
    Ok(session.query(&sql, Operation::Query).await?.into_iter().flatten().flatten().next())
}
