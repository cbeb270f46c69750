use std::time::Duration;

/// The longest waits for PostgreSQL. A connection that exceeds one is lost, and the error is transient.
///
/// TCP keepalive and the limit for unacknowledged bytes end a connection whose packets are dropped. These timeouts also
/// end one whose peer acknowledges packets and does nothing else, such as a proxy that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(super) connect: Duration,
    pub(super) statement: Duration,
    pub(super) silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), statement: Duration::from_secs(20), silence: Duration::from_secs(20) }
    }
}

impl Timeouts {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long connecting may take, TLS and login included. The default is 10 seconds.
    #[must_use]
    pub fn connect(self, timeout: Duration) -> Self {
        Self { connect: timeout, ..self }
    }

    /// Sets how long the answer to a statement may take, that to `START_REPLICATION` included. The default is 20
    /// seconds.
    #[must_use]
    pub fn statement(self, timeout: Duration) -> Self {
        Self { statement: timeout, ..self }
    }

    /// Sets how long the server may send nothing while it streams or hands over decoded changes. The default is 20
    /// seconds.
    ///
    /// Sets the longest silence of the stream. A walsender that decodes sends nothing. After this time the server is
    /// asked over another connection whether it does.
    #[must_use]
    pub fn silence(self, timeout: Duration) -> Self {
        Self { silence: timeout, ..self }
    }
}
