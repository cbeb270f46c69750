use super::pulse::Beat;
use crate::status::HeartbeatPart;
use outbox_wal::{ConnectOptions, Error, SqlConnection};

/// Executes the statement of heartbeats, over a connection that it keeps.
pub(super) struct Action {
    options: ConnectOptions,
    query: String,
    connection: Option<SqlConnection>,
}

impl Action {
    pub(super) fn new(options: ConnectOptions, query: String) -> Self {
        Self { options, query, connection: None }
    }
}

impl Beat for Action {
    type Error = Error;

    const PART: HeartbeatPart = HeartbeatPart::ActionQuery;

    /// Runs the statement. If the connection was lost since the last heartbeat, it connects again.
    async fn beat(&mut self) -> Result<(), Error> {
        if let Some(mut kept) = self.connection.take() {
            match kept.execute(&self.query).await {
                Ok(()) => {
                    self.connection = Some(kept);
                    return Ok(());
                }
                Err(error) if error.is_connection_lost() => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = SqlConnection::open(&self.options).await?;
        connection.execute(&self.query).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
