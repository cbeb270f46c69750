use std::error::Error;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use outbox_kafka::{Pem, Properties, Sasl, SecretSource, Security as KafkaSecurity, Tls, TokenSource};

use crate::settings::{PoisonPolicy, RelaySettings, RelaySettingsBuilder};

/// The source of the configuration, and how it is read.
#[derive(Args)]
pub(super) struct Reading {
    /// Take the converters and producer options that the connector does not set from this file, the properties of the
    /// Kafka Connect worker
    #[arg(long, env = "WORKER_CONFIG_FILE", value_name = "FILE")]
    worker_config: Option<PathBuf>,

    /// Reject keys that neither Kafka Connect nor Debezium knows, in place of a warning
    #[arg(long)]
    strict: bool,
}

impl Reading {
    /// Reads the configuration of a file, or of a connector of a running Kafka Connect.
    pub(super) async fn settings(
        &self,
        connector: &str,
        brokers: &[String],
    ) -> Result<RelaySettingsBuilder, Box<dyn Error>> {
        let mut builder = if connector.contains("://") {
            RelaySettings::from_connect(connector, brokers).await?
        } else {
            RelaySettings::from_connector_file(connector, brokers)?
        };
        if let Some(file) = &self.worker_config {
            let bytes = std::fs::read(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
            builder = builder.worker_config(&Properties::from_latin1(&bytes));
        }
        Ok(if self.strict { builder.strict() } else { builder })
    }
}

/// The addresses of the servers, and how to use them.
#[derive(Args)]
pub(super) struct Servers {
    /// Kafka's brokers, as HOST:PORT, separated by commas [default: bootstrap.servers of --kafka-config]
    #[arg(long, env = "KAFKA_BROKERS", value_delimiter = ',', value_name = "BROKERS")]
    brokers: Vec<String>,

    /// Write rows that can never become a record to this topic, and continue; without it the relay stops at the first
    #[arg(long, env = "DEAD_LETTER_TOPIC", value_name = "TOPIC", help_heading = "Records")]
    dead_letter_topic: Option<String>,

    /// Run this command line with sh to get PostgreSQL's password, in place of the connector's database.password
    ///
    /// It runs again for each new connection.
    #[arg(long, env = "POSTGRES_PASSWORD_COMMAND", value_name = "COMMAND", help_heading = "PostgreSQL")]
    postgres_password_command: Option<String>,

    /// Take the security of the connections to Kafka from this properties file of a Kafka client
    ///
    /// It is read again for each new connection. Without any option of this kind the connector's producer.override.*
    /// count.
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

    /// Log in to Kafka as this user, by SASL; without a file or a command the password is in the variable
    /// KAFKA_PASSWORD
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

    /// The mechanism that proves the password; plain sends it as it is, and wants --kafka-tls or --kafka-ca
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

impl Servers {
    /// Reads the configuration, with the brokers and the server options.
    pub(super) async fn settings(
        &self,
        reading: &Reading,
        connector: &str,
    ) -> Result<RelaySettingsBuilder, Box<dyn Error>> {
        let mut builder = reading.settings(connector, &self.bootstrap()?).await?;
        if let Some(command) = &self.postgres_password_command {
            builder = builder.postgres_password(SecretSource::command(command.as_str()));
        }
        Ok(match &self.dead_letter_topic {
            Some(topic) => builder.poison(PoisonPolicy::DeadLetter(topic.clone())),
            None => builder,
        })
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
            None if self.brokers.is_empty() => return Err("--brokers is missing".into()),
            _ => self.brokers.clone(),
        };
        Ok(listed.iter().map(|address| address.trim().to_owned()).filter(|address| !address.is_empty()).collect())
    }

    /// Returns the security of the connections to Kafka, if an option sets it.
    pub(super) fn kafka_security(&self) -> Result<Option<KafkaSecurity>, Box<dyn Error>> {
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

    /// Returns the login that the options describe. Tokens come before a user, and a password is never sent without
    /// TLS.
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::RunArguments;

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        relay: RunArguments,
    }

    #[test]
    fn a_certificate_and_its_key_go_together() {
        let parse = |more: &[&str]| {
            let line = [&["relay", "--connector", "c.json", "--brokers", "b:9092"], more].concat();
            CommandLine::try_parse_from(line).map(|line| line.relay.servers)
        };
        assert!(parse(&["--kafka-ca", "ca", "--kafka-cert", "cert"]).is_err());
        assert!(parse(&["--kafka-ca", "ca", "--kafka-key", "key"]).is_err());
        let servers = parse(&["--kafka-ca", "ca", "--kafka-cert", "cert", "--kafka-key", "key"]).unwrap();
        assert_eq!(servers.kafka_sasl_mechanism, SaslMechanism::ScramSha512);
        assert!(parse(&["--kafka-config", "f", "--kafka-user", "u"]).is_err());
        assert!(parse(&["--kafka-token-file", "f", "--kafka-user", "u"]).is_err());
        let plain =
            parse(&["--kafka-user", "u", "--kafka-password-file", "f", "--kafka-sasl-mechanism", "plain"]).unwrap();

        assert!(plain.kafka_security().unwrap_err().to_string().contains("--kafka-tls"));
        assert!(parse(&[]).unwrap().kafka_security().unwrap().is_none());
    }
}
