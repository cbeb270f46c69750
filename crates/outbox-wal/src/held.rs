use super::error::Error;
use super::options::ConnectOptions;
use super::server_error::Doing;
use super::session::{Purpose, Session};
use super::slot::Source;
use super::sql::literal;

/// Whether the slot is held by a walsender of this application's name, which has to be the caller's own.
pub async fn is_held(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
         WHERE s.slot_name = {} AND a.application_name = {}",
        literal(source.slot()),
        literal(&options.application_name)
    );
    Ok(!session.query(&sql, Doing::Query).await?.is_empty())
}
