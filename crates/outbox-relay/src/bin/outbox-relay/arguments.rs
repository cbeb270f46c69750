use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use outbox_relay::{
    KafkaSecurity, Pem, PoisonPolicy, Properties, RelaySettings, RelaySettingsBuilder, Sasl, SecretSource, Tls,
    TokenSource,
};

use crate::check::Check;

/// Relays the events of an outbox table from PostgreSQL to Kafka, record for record as Debezium's EventRouter would.
///
/// It takes the very configuration that Kafka Connect takes, reads the same slot and publication, and holds the slot
/// as long as it runs: a second relay waits and takes over. SIGTERM drains it.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) relay: Arguments,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Reports what the relay makes of a connector's configuration, without any server
    ///
    /// Exit code: 0 if the relay accepts it, 1 if it rejects it, 2 if it cannot be read.
    Check(Check),
}

/// Where the configuration comes from, and how it is taken.
#[derive(Args)]
pub(crate) struct Reading {
    /// Take the converters and producer options that the connector does not set from this file, the properties of the Kafka
    /// Connect worker
    #[arg(long, env = "WORKER_CONFIG_FILE", value_name = "FILE")]
    worker_config: Option<PathBuf>,

    /// Reject keys that neither Kafka Connect nor Debezium knows, in place of a warning
    #[arg(long)]
    strict: bool,
}

impl Reading {
    /// Reads the configuration of a file, or of a connector of a running Kafka Connect.
    pub(crate) async fn settings(
        &self,
        connector: &str,
        brokers: &[String],
    ) -> Result<RelaySettingsBuilder, Box<dyn Error>> {
        let mut builder = if connector.contains("://") {
            RelaySettings::from_connect(connector, brokers).await?
        } else {
            let json = std::fs::read_to_string(connector)
                .map_err(|e| format!("the connector's configuration {connector} cannot be read: {e}"))?;
            RelaySettings::from_connector_json(&json, brokers)?
        };
        if let Some(file) = &self.worker_config {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
            builder = builder.worker_config(&Properties::parse(&text));
        }
        Ok(if self.strict { builder.strict() } else { builder })
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// The connector's configuration: a file, or http://HOST:8083/connectors/NAME to ask a running Kafka Connect
    ///
    /// ${env:NAME}, ${file:/path:key} and ${dir:/path:file} in it are resolved here.
    #[arg(long, env = "CONNECTOR_CONFIG", value_name = "FILE|URL", required = true)]
    connector: Option<String>,

    #[command(flatten)]
    reading: Reading,

    /// Kafka's brokers, as HOST:PORT, separated by commas [default: bootstrap.servers of --kafka-config]
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        value_delimiter = ',',
        required_unless_present = "kafka_config",
        value_name = "BROKERS"
    )]
    brokers: Vec<String>,

    /// Serve /metrics (Prometheus), /ready and /live over HTTP on this address, such as 127.0.0.1:9404
    #[arg(long, env = "OUTBOX_RELAY_LISTEN", value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Write rows that can never become a record to this topic, and go on; without it the relay stops at the first
    #[arg(long, env = "DEAD_LETTER_TOPIC", value_name = "TOPIC", help_heading = "Records")]
    dead_letter_topic: Option<String>,

    /// How many records of a partition's end are looked at, at the start, for rows that are there already
    #[arg(long, value_name = "RECORDS", default_value_t = 100_000, help_heading = "Records")]
    scan_limit: u64,

    /// Look for new partitions of topics this often, in seconds [default: the connector's
    /// producer.override.metadata.max.age.ms, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Operation")]
    topic_interval: Option<Duration>,

    /// Rows that wait this long without one being acknowledged make the relay not ready, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", help_heading = "Operation")]
    stalled_after: Duration,

    /// Run this command line with sh to get PostgreSQL's password, in place of the connector's database.password
    ///
    /// It runs again for each new connection.
    #[arg(long, env = "POSTGRES_PASSWORD_COMMAND", value_name = "COMMAND", help_heading = "PostgreSQL")]
    postgres_password_command: Option<String>,

    /// Take the security of the connections to Kafka from this properties file of a Kafka client
    ///
    /// It is read again for each new connection. Without any option of this kind the connector's producer.override.* count.
    #[arg(
        long,
        env = "KAFKA_CONFIG_FILE",
        value_name = "FILE",
        conflicts_with_all = ["kafka_tls", "kafka_ca", "kafka_user", "kafka_token_file", "kafka_token_command"],
        help_heading = "Kafka's security"
    )]
    kafka_config: Option<PathBuf>,

    /// Connect to Kafka by TLS, and trust the system's authorities
    #[arg(long, help_heading = "Kafka's security")]
    kafka_tls: bool,

    /// Connect to Kafka by TLS, and trust the certificates in this PEM file
    #[arg(long, env = "KAFKA_CA_FILE", value_name = "FILE", help_heading = "Kafka's security")]
    kafka_ca: Option<PathBuf>,

    /// Show this certificate to Kafka, with those that it is signed by, in PEM
    #[arg(
        long,
        env = "KAFKA_CERT_FILE",
        value_name = "FILE",
        requires = "kafka_key",
        help_heading = "Kafka's security"
    )]
    kafka_cert: Option<PathBuf>,

    /// The key of --kafka-cert, in PEM
    #[arg(
        long,
        env = "KAFKA_KEY_FILE",
        value_name = "FILE",
        requires = "kafka_cert",
        help_heading = "Kafka's security"
    )]
    kafka_key: Option<PathBuf>,

    /// Log in to Kafka as this user, by SASL; without a file or a command the password is in the variable KAFKA_PASSWORD
    #[arg(long, env = "KAFKA_USER", value_name = "NAME", help_heading = "Kafka's security")]
    kafka_user: Option<String>,

    /// Read the password of --kafka-user from this file, again for each new connection
    #[arg(
        long,
        env = "KAFKA_PASSWORD_FILE",
        value_name = "FILE",
        requires = "kafka_user",
        conflicts_with = "kafka_password_command",
        help_heading = "Kafka's security"
    )]
    kafka_password_file: Option<PathBuf>,

    /// Run this command line with sh to get the password of --kafka-user, again for each new connection
    #[arg(
        long,
        env = "KAFKA_PASSWORD_COMMAND",
        value_name = "COMMAND",
        requires = "kafka_user",
        help_heading = "Kafka's security"
    )]
    kafka_password_command: Option<String>,

    /// Log in to Kafka by OAUTHBEARER with the token in this file: a token, or the JSON of a token endpoint
    #[arg(
        long,
        env = "KAFKA_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with_all = ["kafka_user", "kafka_token_command"],
        help_heading = "Kafka's security"
    )]
    kafka_token_file: Option<PathBuf>,

    /// Log in to Kafka by OAUTHBEARER with the token that this command line prints: a token, or the JSON of a token
    /// endpoint
    #[arg(
        long,
        env = "KAFKA_TOKEN_COMMAND",
        value_name = "COMMAND",
        conflicts_with = "kafka_user",
        help_heading = "Kafka's security"
    )]
    kafka_token_command: Option<String>,

    /// How the password is proven; plain sends it as it is, and wants --kafka-tls or --kafka-ca
    #[arg(
        long,
        env = "KAFKA_SASL_MECHANISM",
        value_enum,
        value_name = "MECHANISM",
        default_value = "scram-sha-512",
        help_heading = "Kafka's security"
    )]
    kafka_sasl_mechanism: SaslMechanism,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SaslMechanism {
    Plain,
    #[value(name = "scram-sha-256")]
    ScramSha256,
    #[value(name = "scram-sha-512")]
    ScramSha512,
}

impl Arguments {
    pub(crate) async fn settings(self) -> Result<RelaySettings, Box<dyn Error>> {
        let brokers = self.bootstrap()?;
        let connector = self.connector.as_deref().ok_or("--connector is missing")?;
        let mut builder = self.reading.settings(connector, &brokers).await?;
        if let Some(command) = self.postgres_password_command {
            builder = builder.postgres_password(SecretSource::command(command));
        }
        if let Some(topic) = self.dead_letter_topic {
            builder = builder.poison(PoisonPolicy::DeadLetter(topic));
        }
        if let Some(interval) = self.topic_interval {
            builder = builder.look_at_topics_every(interval);
        }
        Ok(builder.scan_limit(self.scan_limit).stalled_after(self.stalled_after).build()?)
    }

    /// Returns the addresses of the brokers.
    fn bootstrap(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let listed = match &self.kafka_config {
            Some(file) if self.brokers.is_empty() => {
                let text =
                    std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
                let servers = Properties::parse(&text).get("bootstrap.servers").map(str::to_owned);
                let servers = servers
                    .ok_or("--brokers is missing, and the file of --kafka-config has no bootstrap.servers either")?;
                servers.split(',').map(str::to_owned).collect()
            }
            _ => self.brokers.clone(),
        };
        Ok(listed.iter().map(|address| address.trim().to_owned()).filter(|address| !address.is_empty()).collect())
    }

    /// Returns the security of the connections to Kafka, if an option sets it.
    pub(crate) fn kafka_security(&self) -> Result<Option<KafkaSecurity>, Box<dyn Error>> {
        if let Some(file) = &self.kafka_config {
            return Ok(Some(KafkaSecurity::from_properties_file(file)?));
        }
        let (tls, sasl) = (self.tls(), self.sasl()?);
        if tls.is_none() && sasl.is_none() {
            return Ok(None);
        }
        let mut security = KafkaSecurity::new();
        if let Some(tls) = tls {
            security = security.tls(tls);
        }
        if let Some(sasl) = sasl {
            security = security.sasl(sasl);
        }
        Ok(Some(security))
    }

    fn has_tls(&self) -> bool {
        self.kafka_tls || self.kafka_ca.is_some() || self.kafka_cert.is_some()
    }

    fn tls(&self) -> Option<Tls> {
        let mut tls = if self.has_tls() { Tls::new() } else { return None };
        if let Some(ca) = &self.kafka_ca {
            tls = tls.roots(Pem::file(ca));
        }
        if let (Some(certificate), Some(key)) = (&self.kafka_cert, &self.kafka_key) {
            tls = tls.identity(Pem::file(certificate), Pem::file(key));
        }
        Some(tls)
    }

    fn sasl(&self) -> Result<Option<Sasl>, Box<dyn Error>> {
        let tokens = match (&self.kafka_token_file, &self.kafka_token_command) {
            (Some(file), _) => Some(TokenSource::file(file)),
            (None, Some(command)) => Some(TokenSource::command(command.as_str())),
            (None, None) => None,
        };
        if let Some(tokens) = tokens {
            return Ok(Some(Sasl::oauth_bearer(tokens)));
        }
        let Some(user) = &self.kafka_user else { return Ok(None) };
        let password = self.kafka_password()?;
        Ok(Some(match self.kafka_sasl_mechanism {
            SaslMechanism::Plain if !self.has_tls() => {
                let reason = "--kafka-sasl-mechanism plain would send the password readable to all: it wants --kafka-tls or \
                              --kafka-ca";
                return Err(reason.into());
            }
            SaslMechanism::Plain => Sasl::plain(user, password),
            SaslMechanism::ScramSha256 => Sasl::scram_sha_256(user, password),
            SaslMechanism::ScramSha512 => Sasl::scram_sha_512(user, password),
        }))
    }

    fn kafka_password(&self) -> Result<SecretSource, Box<dyn Error>> {
        match (&self.kafka_password_file, &self.kafka_password_command) {
            (Some(file), _) => Ok(SecretSource::file(file)),
            (None, Some(command)) => Ok(SecretSource::command(command.as_str())),
            (None, None) => {
                let password = std::env::var("KAFKA_PASSWORD").map_err(
                    |_| "KAFKA_PASSWORD, the password of --kafka-user, is not set: set it, or give --kafka-password-file",
                )?;
                Ok(password.into())
            }
        }
    }
}

/// Command lines may hold secrets.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments").finish_non_exhaustive()
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("it is more than 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_check_needs_a_file_only() {
        let parse = |line: &[&str]| CommandLine::try_parse_from(line);
        let checked = parse(&["relay", "check", "c.json", "--output", "json"]).unwrap();
        assert!(checked.command.is_some());
        assert!(parse(&["relay", "check"]).is_err());
        assert!(parse(&["relay"]).is_err());
    }

    #[test]
    fn a_certificate_and_its_key_go_together() {
        let parse = |more: &[&str]| {
            let line = [&["relay", "--connector", "c.json", "--brokers", "b:9092"], more].concat();
            CommandLine::try_parse_from(line).map(|line| line.relay)
        };
        assert!(parse(&["--kafka-ca", "ca", "--kafka-cert", "cert"]).is_err());
        assert!(parse(&["--kafka-ca", "ca", "--kafka-key", "key"]).is_err());
        let arguments = parse(&["--kafka-ca", "ca", "--kafka-cert", "cert", "--kafka-key", "key"]).unwrap();
        assert_eq!(
            (arguments.kafka_sasl_mechanism, arguments.stalled_after),
            (SaslMechanism::ScramSha512, Duration::from_secs(30))
        );
        assert!(parse(&["--stalled-after", "0"]).is_err());
        assert!(parse(&["--kafka-config", "f", "--kafka-user", "u"]).is_err());
        assert!(parse(&["--kafka-token-file", "f", "--kafka-user", "u"]).is_err());
        let plain =
            parse(&["--kafka-user", "u", "--kafka-password-file", "f", "--kafka-sasl-mechanism", "plain"]).unwrap();
        assert!(plain.kafka_security().unwrap_err().to_string().contains("--kafka-tls"));
        assert!(parse(&[]).unwrap().kafka_security().unwrap().is_none());
    }
}
