mod catalog;
mod gaps;
mod opener;
mod preflight;
mod publication;
mod read_plan;
mod session;
mod sessions;
mod slot_identity;
mod unpublished;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::gaps::Gaps;
use self::session::{Heartbeats, Shared, SkipList};
use self::sessions::Sessions;
use crate::error::Error;
use crate::settings::RelaySettings;
use crate::status::{Mode, RelayStatus};
use outbox_kafka::{Cluster, Security, Settings};
use outbox_net::ErrorChain;
use outbox_wal::ConnectOptions;

pub use self::preflight::{CheckStatus, ServerCheck};

/// Reads one slot and writes its events to Kafka.
///
/// # Delivery
/// - An event is in Kafka once its transaction has committed, in the order of commits for each partition. Its
///   position is confirmed to PostgreSQL only after the broker has acknowledged it with all in-sync replicas.
/// - Each event is written once, also after a crash or a take-over: before the first batch to a partition its end is
///   read, and a row whose own record is there is not sent again.
/// - A second relay of the same slot waits until the first is gone.
pub struct Relay {
    settings: RelaySettings,
    options: ConnectOptions,
    security: Security,
    status: RelayStatus,
}

/// The time that a call to Kafka is repeated before its error is reported.
const RETRY: Duration = Duration::from_secs(1);

impl Relay {
    /// Creates a relay with these settings. It connects in [`run`](Self::run).
    ///
    /// # Errors
    /// An address of a broker is not `HOST:PORT`.
    pub fn new(settings: RelaySettings) -> Result<Self, Error> {
        let options = opener::connect_options(settings.postgres()).timeouts(settings.postgres_timeouts());
        let status = RelayStatus::new(settings.stalled_after());
        if let Some(wrong) = settings.brokers().iter().find(|address| outbox_net::host_and_port(address).is_none()) {
            return Err(Error::settings(format!("the broker's address {wrong:?} is not HOST:PORT")));
        }
        let security = settings.kafka_security().cloned().unwrap_or_default();
        Ok(Self { settings, options, security, status })
    }

    /// Sets the security of the connections to the brokers, in place of that of the connector's `producer.override.*`.
    #[must_use]
    pub fn kafka_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// Returns the status of the relay while it runs.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    /// Relays until `stop` is done; then it reads to the end of a transaction that has begun, waits up to ten seconds
    /// for acknowledgements, confirms them and releases the slot.
    ///
    /// It waits for a database or a broker that is unreachable, and for a slot that another process holds. After a
    /// broker has answered once, errors of Kafka are tried again, and [`RelayStatus::readiness`] shows them.
    ///
    /// # Errors
    /// - A slot or publication is missing, and the settings do not create it; or it is lost, or PostgreSQL denies a
    ///   right.
    /// - Before any broker has answered: the brokers reject the settings (an address, TLS, the login).
    /// - No broker has a version of a request that the relay needs.
    /// - The outbox table was updated, and the configuration says that this is fatal.
    /// - A row can never be written ([`Error::is_poison`]), and there is no topic for dead letters.
    ///
    /// # Cancellation
    /// Dropping the future has the effect of a crash: no event is lost, and the next start searches the topics for
    /// unconfirmed rows.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut settings = Settings::new(self.settings.brokers());
        settings.security = self.security.clone();
        // The relay tries again by itself, and shows the reason meanwhile.
        settings.retry_timeout = RETRY;
        let cluster = Arc::new(Cluster::new(settings));
        let gaps = Arc::new(Gaps::new(self.settings.compression()));
        let skips = SkipList::new(self.settings.skip());
        let heartbeats = Heartbeats::new(&self.settings);
        let shared = Shared {
            settings: &self.settings,
            status: &self.status,
            cluster: &cluster,
            gaps: &gaps,
            skips: &skips,
            heartbeats: &heartbeats,
        };

        let ended = Box::pin(Sessions::new(shared, &self.options).run(stop)).await;
        skips.report_rest();
        self.status.entered(Mode::Stopped, ended.as_ref().err().map(|error| ErrorChain::new(error).to_string()));
        ended
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("settings", &self.settings).finish_non_exhaustive()
    }
}
