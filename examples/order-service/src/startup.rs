use std::fmt;

use outbox_core::Pipeline;
use outbox_pg::Readiness;
use thiserror::Error;
use tokio_postgres::Client;

use crate::settings::Mode;

/// The reason why the service does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartupError {
    /// The catalogs could not be read.
    #[error("cannot see whether the database is ready")]
    Unseen(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something is missing or does not fit.
    #[error("the database is not ready:\n{0}`order-service setup`, with the same settings, makes what is missing")]
    NotReady(Problems),
}

/// The parts that are missing or do not fit, each with its remedy.
#[derive(Debug)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "  - {problem}"))
    }
}

/// Looks for what the parts of the service that are to run will write to.
///
/// # Errors
/// Something is missing: better to refuse than to take orders whose events would never be published.
pub async fn check(client: &Client, pipeline: &Pipeline, mode: Mode) -> Result<(), StartupError> {
    let unseen = |e: outbox_pg::Error| StartupError::Unseen(Box::new(e));
    let mut problems = Vec::new();
    if mode.serves() {
        let outbox = Readiness::check(client, pipeline).await.map_err(unseen)?;
        problems.extend(outbox.problems().iter().map(ToString::to_string));
    }

    let positions = format!("{}.consumer_position", pipeline.layout().schema());
    // GET /received reads the table that the consumer writes, so both parts need it.
    let tables = [
        (mode.serves(), "order_service.orders"),
        (true, "order_service.received_event"),
        (mode.consumes(), positions.as_str()),
    ];

    for (is_needed, table) in tables {
        let sql = "SELECT to_regclass($1) IS NULL";
        let row = client.query_one(sql, &[&table]).await.map_err(|e| StartupError::Unseen(Box::new(e)))?;
        if is_needed && row.get(0) {
            problems.push(format!("the table {table} does not exist"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(StartupError::NotReady(Problems(problems))) }
}
