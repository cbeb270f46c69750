//! `outbox-relay`: reads an outbox's slot and writes its events to Kafka, in Debezium's place.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use outbox_core::Loss;
use outbox_relay::{KafkaSecurity, PoisonPolicy, Relay, RelaySettings};

/// Relays the events of an outbox table from PostgreSQL to Kafka, record for record as Debezium's EventRouter would.
///
/// It takes the very configuration that Kafka Connect takes, reads the same slot and publication, and holds the slot
/// as long as it runs: a second relay waits and takes over.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The connector's configuration, as Kafka Connect takes it
    ///
    /// ${env:NAME} and ${file:/path:key} in it are resolved here.
    #[arg(long, env = "CONNECTOR_CONFIG", value_name = "FILE")]
    connector: PathBuf,

    /// Kafka's brokers, as HOST:PORT, separated by commas
    #[arg(long, env = "KAFKA_BROKERS", value_delimiter = ',', required = true, value_name = "BROKERS")]
    brokers: Vec<String>,

    /// A key of the configuration that the relay does not know, and that does not matter
    #[arg(long, value_name = "KEY")]
    accept_unknown_key: Vec<String>,

    /// Take a configuration that expands JSON payloads, with the losses that it brings
    #[arg(long)]
    accept_json_expansion: bool,

    /// Write rows that can never become a record to this topic, and go on; without it the relay stops at the first
    #[arg(long, env = "DEAD_LETTER_TOPIC", value_name = "TOPIC")]
    dead_letter_topic: Option<String>,

    /// Connect to Kafka by TLS, and trust the certificates in this PEM file
    #[arg(long, env = "KAFKA_CA_FILE", value_name = "FILE")]
    kafka_ca: Option<PathBuf>,

    /// Log in to Kafka as this user, by SASL SCRAM-SHA-512; the password is in KAFKA_PASSWORD
    #[arg(long, env = "KAFKA_USER", value_name = "NAME")]
    kafka_user: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!("\n  because: {cause}"));
                source = cause.source();
            }
            tracing::error!(target: "outbox.relay", "stopped: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let json = std::fs::read_to_string(&arguments.connector)
        .map_err(|e| format!("the connector's configuration {} cannot be read: {e}", arguments.connector.display()))?;
    let mut builder = RelaySettings::from_connector_json(&json, &arguments.brokers)?;
    for key in arguments.accept_unknown_key {
        builder = builder.accept_unknown_key(key);
    }
    if arguments.accept_json_expansion {
        builder = builder.accept_loss(Loss::JsonExpansion);
    }
    if let Some(topic) = arguments.dead_letter_topic {
        builder = builder.poison(PoisonPolicy::DeadLetter(topic));
    }
    let mut security = KafkaSecurity::default();
    if let Some(path) = arguments.kafka_ca {
        let authorities = std::fs::read(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        security = security.tls(&authorities)?;
    }
    if let Some(user) = arguments.kafka_user {
        let password =
            std::env::var("KAFKA_PASSWORD").map_err(|_| "KAFKA_PASSWORD, the password of --kafka-user, is not set")?;
        security = security.scram_sha_512(user, password);
    }
    let relay = Relay::new(builder.build()?)?.kafka_security(security);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(relay.run(stop).await?)
}
