use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

/// The reason why statements were not carried out.
#[derive(Debug)]
pub(crate) enum SqlError {
    Postgres(postgres::Error),
    Silent(Duration),
}

/// Runs statements one by one in a separate session, until one fails.
///
/// On its own thread, for two reasons: the blocking client cannot run within an async test, and it would wait for
/// a paused server without end.
pub(crate) fn run(url: &str, statements: Vec<String>, patience: Duration) -> Result<(), SqlError> {
    let url = url.to_owned();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let outcome = Client::connect(&url, NoTls)
            .and_then(|mut client| statements.iter().try_for_each(|statement| client.batch_execute(statement)));
        // The receiver is dropped if this took too long.
        let _ = sender.send(outcome);
    });
    match receiver.recv_timeout(patience) {
        Ok(outcome) => outcome.map_err(SqlError::Postgres),
        Err(_) => Err(SqlError::Silent(patience)),
    }
}

impl SqlError {
    pub(crate) fn has_code(&self, code: &SqlState) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(code))
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("PostgreSQL refused a connection or a statement"),
            Self::Silent(patience) => write!(f, "PostgreSQL did not answer within {} s", patience.as_secs()),
        }
    }
}

impl Error for SqlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Postgres(error) => Some(error),
            Self::Silent(_) => None,
        }
    }
}
