use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::logging::LogFormat;
use super::servers::{Reading, Servers};
use crate::position::RowPosition;
use crate::settings::RelaySettings;

/// The longest time of an option: 100 years, which the clocks of all platforms can represent.
const LONGEST: Duration = Duration::from_secs(3_155_760_000);

/// The arguments of a command that runs a relay.
#[derive(Args)]
pub struct RunArguments {
    /// The connector's configuration: a file, or http://HOST:8083/connectors/NAME to ask a running Kafka Connect
    ///
    /// A file is JSON, .properties of standalone Kafka Connect, or .yaml with a KafkaConnector of Strimzi.
    /// ${env:NAME}, ${file:/path:key} and ${dir:/path:file} in it are resolved here.
    #[arg(long, env = "CONNECTOR_CONFIG", value_name = "FILE|URL", required = true)]
    connector: Option<String>,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    pub(super) servers: Servers,

    /// Serve /metrics (Prometheus), /ready and /live over HTTP on this address, such as 127.0.0.1:9404
    #[arg(long, env = "OUTBOX_RELAY_LISTEN", value_name = "IP:PORT")]
    pub(super) listen: Option<SocketAddr>,

    /// Create the publication for the outbox table and the replication slot, in this order, if they are missing at the
    /// start
    ///
    /// The publication needs a role that owns the table and has CREATE on the database, and the slot one with
    /// REPLICATION.
    #[arg(long, env = "OUTBOX_RELAY_CREATE", help_heading = "PostgreSQL")]
    create: bool,

    /// The form of the log, which goes to standard error; RUST_LOG chooses what is logged
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT", help_heading = "Operation")]
    pub(super) log_format: LogFormat,

    /// Leave out the row at this position, as the error and the header outbox.position show it; may be repeated
    #[arg(long, value_name = "POSITION", help_heading = "Records")]
    skip: Vec<RowPosition>,

    /// Accept that the publication left out rows up to this position, as /ready shows it; may be repeated
    ///
    /// Publish these rows again from the table first.
    #[arg(long, value_name = "POSITION", help_heading = "Records")]
    skip_unpublished: Vec<RowPosition>,

    /// At a start, read at most this many records of other writers at the end of a partition to find unconfirmed rows
    #[arg(long, value_name = "RECORDS", default_value_t = 100_000, help_heading = "Records")]
    scan_limit: u64,

    /// Read a backlog in steps of this much WAL, in MiB: after each one PostgreSQL can remove what is confirmed
    #[arg(long, value_name = "MIB", default_value = "1024", help_heading = "Operation")]
    catch_up_step: NonZeroU32,

    /// Look for new partitions of topics this often, in seconds [default: the connector's
    /// producer.override.metadata.max.age.ms, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Operation")]
    topic_interval: Option<Duration>,

    /// Rows that wait this long without one being acknowledged make the relay not ready, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", help_heading = "Operation")]
    stalled_after: Duration,
}

impl RunArguments {
    pub(super) async fn settings(self) -> Result<RelaySettings, Box<dyn Error>> {
        let connector = self.connector.as_deref().ok_or("--connector is missing")?;
        let mut builder = self.servers.settings(&self.reading, connector).await?;
        if self.create {
            builder = builder.create_missing();
        }
        if let Some(interval) = self.topic_interval {
            builder = builder.look_at_topics_every(interval);
        }
        builder = builder.catch_up_step(u64::from(self.catch_up_step.get()) << 20);
        let builder = builder.skip(self.skip).skip_unpublished(self.skip_unpublished);
        Ok(builder.scan_limit(self.scan_limit).stalled_after(self.stalled_after).build()?)
    }
}

/// Command lines may hold secrets.
impl fmt::Debug for RunArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunArguments").finish_non_exhaustive()
    }
}

/// Parses a time in seconds, such as `0.5`.
///
/// # Errors
/// The text is no number, or it is not more than 0, or more than 100 years.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err(format!("it is more than 0, and at most {}", LONGEST.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_more_than_zero() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "a minute", "inf", "NaN", "1e18"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
