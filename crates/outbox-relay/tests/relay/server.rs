use std::fs;
use std::time::Duration;

use outbox_pg::tokio_postgres::{NoTls, connect};
use outbox_testkit::Postgres;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// Shuts a PostgreSQL down as `pg_ctl stop -m fast` does, and waits until it has ended. [`Postgres::crash`] starts it
/// again.
pub(crate) async fn shut_down(postgres: &Postgres) {
    let took = end(postgres, Signal::INT).await;
    eprintln!("PostgreSQL has shut down after {took:?}");
}

/// Ends a PostgreSQL as a crash would.
pub(crate) async fn kill(postgres: &Postgres) {
    end(postgres, Signal::QUIT).await;
}

async fn end(postgres: &Postgres, signal: Signal) -> Duration {
    let (client, connection) = connect(&postgres.url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let sql = "SELECT (string_to_array(pg_read_file('postmaster.pid'), E'\\n'))[1]::int";
    let postmaster: i32 = client.query_one(sql, &[]).await.unwrap().get(0);
    drop(client);
    _ = connection.await;
    kill_process(Pid::from_raw(postmaster).unwrap(), signal).unwrap();
    let (began, stat) = (Instant::now(), format!("/proc/{postmaster}/stat"));

    // It stays as a zombie until it is started again.
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < Duration::from_secs(120), "PostgreSQL does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}
