use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use super::Session;
use crate::Error;
use crate::sql_text::literal;

/// The `lock_timeout` and `statement_timeout` of a session, which are set back to what they were before.
pub(crate) struct Timeouts<'s, 'c> {
    session: &'s Session<'c>,
    /// The statements that set them back, unless they were sent.
    restore: Option<String>,
}

impl<'s, 'c> Timeouts<'s, 'c> {
    /// Sets the timeouts.
    ///
    /// # Errors
    /// The settings could not be read or set.
    pub(crate) async fn set(session: &'s Session<'c>, lock: Duration, statement: Duration) -> Result<Self, Error> {
        let failed = |e| Error::database("set lock_timeout and statement_timeout", e);
        let sql = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')";
        let before = session.query_one(sql, &[]).await.map_err(failed)?;
        let set = |lock: &str, statement: &str| {
            format!("SET lock_timeout = {}; SET statement_timeout = {}", literal(lock), literal(statement))
        };

        let restore = set(before.get(0), before.get(1));
        let timeouts = Self { session, restore: Some(restore) };
        let wanted = set(&lock.as_millis().to_string(), &statement.as_millis().to_string());
        session.batch_execute(&wanted).await.map_err(failed)?;
        Ok(timeouts)
    }

    /// Sets them back.
    ///
    /// # Errors
    /// PostgreSQL refused.
    pub(crate) async fn restore(mut self) -> Result<(), Error> {
        let restore = self.restore.take().unwrap_or_default();
        let restored = self.session.batch_execute(&restore).await;
        restored.map_err(|e| Error::database("set lock_timeout and statement_timeout back", e))
    }
}

impl Drop for Timeouts<'_, '_> {
    /// Sends the statements without waiting for the answer: the run's future was dropped, and the session may be used
    /// again. tokio-postgres sends a statement when its future is first polled, and also reads an answer whose future
    /// was dropped. sqlx cannot do this.
    fn drop(&mut self) {
        if let (Session::Client(client), Some(restore)) = (self.session, self.restore.take()) {
            let sent = pin!(client.batch_execute(&restore));
            let _ = sent.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}
