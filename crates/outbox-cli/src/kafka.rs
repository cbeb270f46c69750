use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outbox_kafka_consumer::outbox_kafka::{Cluster, Properties, Security, Settings};

use crate::exit::Failure;

/// The addresses of Kafka's brokers, and how to log in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct KafkaOptions {
    /// Kafka's brokers, as HOST:PORT, separated by commas [default: bootstrap.servers of --kafka-config]
    #[arg(long, env = "KAFKA_BROKERS", value_delimiter = ',', value_name = "BROKERS", global = true)]
    brokers: Vec<String>,

    /// Take TLS and login from this properties file of a Kafka client
    #[arg(long, env = "KAFKA_CONFIG_FILE", value_name = "FILE", global = true)]
    kafka_config: Option<PathBuf>,
}

impl KafkaOptions {
    /// Returns the addresses of the brokers, or `None` if no option names them.
    pub(crate) fn brokers(&self) -> Result<Option<Vec<String>>, Failure> {
        let listed = match &self.kafka_config {
            Some(file) if self.brokers.is_empty() => {
                let text = std::fs::read_to_string(file);
                let text =
                    text.map_err(|e| Failure::usage(format!("{} cannot be read", file.display())).caused_by(&e))?;
                let servers = Properties::parse(&text).get("bootstrap.servers").map(str::to_owned).unwrap_or_default();
                servers.split(',').map(str::to_owned).collect()
            }
            _ => self.brokers.clone(),
        };
        let listed: Vec<_> = listed.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        Ok(Some(listed).filter(|listed| !listed.is_empty()))
    }

    /// Returns the security of the connections, if a file sets it.
    pub(crate) fn security(&self) -> Result<Option<Security>, Failure> {
        let unusable = |file: &PathBuf| Failure::usage(format!("{} cannot be used", file.display()));
        let read = |file: &PathBuf| Security::from_properties_file(file).map_err(|e| unusable(file).caused_by(&e));
        self.kafka_config.as_ref().map(read).transpose()
    }

    /// Returns a client, which connects when it is used, or `None` if no option names the brokers.
    pub(crate) fn cluster(&self, limit: Duration) -> Result<Option<Cluster>, Failure> {
        let Some(brokers) = self.brokers()? else { return Ok(None) };
        let mut settings = Settings::new(brokers);
        "outbox".clone_into(&mut settings.client_id);
        (settings.request_timeout, settings.retry_timeout) = (limit, limit);
        settings.security = self.security()?.unwrap_or_default();
        Ok(Some(Cluster::new(settings)))
    }

    /// Returns a client, which connects when it is used.
    pub(crate) fn required_cluster(&self, limit: Duration) -> Result<Cluster, Failure> {
        self.cluster(limit)?.ok_or_else(|| Failure::usage("no brokers are named: give --brokers HOST:PORT"))
    }
}
