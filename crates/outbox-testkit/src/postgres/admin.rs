use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use super::error::Source;

/// Runs statements one by one in a separate session, until one fails.
pub(super) async fn run(config: &Config, statements: &[String], patience: Duration) -> Result<(), Source> {
    let work = async {
        let (client, connection) = config.connect(NoTls).await?;
        // The task ends with the client.
        tokio::spawn(connection);
        for statement in statements {
            client.batch_execute(statement).await?;
        }
        Ok(())
    };
    timeout(patience, work).await?
}

/// Runs the same without async: on a separate thread with a runtime, which it joins.
pub(super) fn run_blocking(config: &Config, statements: &[String], patience: Duration) -> Result<(), Source> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(config, statements, patience))
        });
        worker.join().unwrap_or_else(|_| Err("the thread for it panicked".into()))
    })
}
