use std::convert::Infallible;
use std::fmt;
use std::io::{IsTerminal as _, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use outbox_kafka_consumer::outbox_kafka::{Error as KafkaError, Security};

/// Orders over HTTP; their events through the outbox, Debezium and Kafka; and a consumer of them.
///
/// POST /orders stores an order and its event OrderCreated in one transaction. Debezium, or the relay, reads the event
/// from PostgreSQL's log and writes it to Kafka; the consumer in this program receives it, and GET /received shows it.
///
/// `order-service demo` starts a throw-away PostgreSQL, a broker and the relay as well, and shows an event's way on the
/// page at /. A debug build, and one that is started in a terminal, does that also without DATABASE_URL and KAFKA_BROKERS.
///
/// Run `order-service setup` once before the first start: it creates the tables, the publication and the replication
/// slot. An event that commits before the slot exists would never be published, so the service does not start without.
#[derive(Clone, Debug, Parser)]
#[command(name = "order-service", version, after_long_help = EXAMPLES)]
#[non_exhaustive]
pub struct Settings {
    /// The task; without it, serve
    #[command(subcommand)]
    pub task: Option<Task>,

    /// The database, as postgres://USER:PASSWORD@HOST:PORT/DATABASE
    ///
    /// Prefer the environment: arguments can be read by every user of the machine. TLS is chosen as libpq does it, by
    /// ?sslmode=verify-full&sslrootcert=FILE, and sslcert and sslkey for a client's certificate.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub database_url: Option<Secret>,

    /// The connector's configuration, as Kafka Connect takes it
    ///
    /// Slot, publication and topics are read from this JSON file. Without it, the configuration that this program was
    /// built with is used: deploy/outbox-connector.json.
    #[arg(long, env = "CONNECTOR_CONFIG", global = true, value_name = "FILE")]
    pub connector: Option<PathBuf>,

    /// The form of the outbox: a table, or messages in PostgreSQL's log alone
    ///
    /// The connector's configuration must read the one that is chosen. The one that this program was built with reads the
    /// table; for messages, the recommended one is used unless CONNECTOR_CONFIG names another.
    #[arg(long, env = "OUTBOX", global = true, value_enum, default_value_t, value_name = "FORM")]
    pub outbox: OutboxForm,

    /// The form of the log, which goes to standard error; RUST_LOG chooses what is logged
    #[arg(long, env = "LOG_FORMAT", global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Kafka's brokers, as HOST:PORT, separated by commas [default: 127.0.0.1:9092]
    #[arg(long, env = "KAFKA_BROKERS", value_delimiter = ',', value_parser = broker, value_name = "BROKERS")]
    pub kafka_brokers: Option<Vec<String>>,

    /// TLS and the login to Kafka, as the properties file of a Kafka client
    ///
    /// `security.protocol`, `sasl.*` and `ssl.*` are honored. The file is read again for each new connection, so a
    /// password or a certificate can be replaced without a restart.
    #[arg(long, env = "KAFKA_CONFIG", value_name = "FILE")]
    pub kafka_config: Option<PathBuf>,

    /// The address to listen on for HTTP
    #[arg(long, env = "LISTEN", global = true, default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// The access of the page at / [default: full on a loopback address, or else read]
    ///
    /// The page has no login.
    #[arg(long, env = "PAGE", global = true, value_enum, value_name = "ACCESS")]
    pub page: Option<PageAccess>,

    /// Which parts to run
    #[arg(long, env = "MODE", value_enum, default_value_t)]
    pub mode: Mode,

    /// The group under which the consumer keeps its positions
    #[arg(long, env = "CONSUMER_GROUP", default_value = "order-service", value_name = "NAME")]
    pub group: String,
}

const EXAMPLES: &str = "\
Examples:
  order-service demo

  export DATABASE_URL=postgres://postgres:postgres@127.0.0.1:5432/outbox_db
  order-service setup
  KAFKA_BROKERS=127.0.0.1:9092 order-service
  curl -i 127.0.0.1:8000/orders -H 'content-type: application/json' \\
       -d '{\"customer_id\":1,\"product_id\":101,\"quantity\":2}'
  curl 127.0.0.1:8000/received";

impl Settings {
    /// Returns whether the program is to start its own servers.
    #[must_use]
    pub fn is_demo(&self, without_task: DemoByDefault) -> bool {
        let names_a_server = self.database_url.is_some() || self.kafka_brokers.is_some();
        match self.task {
            Some(Task::Demo) => true,
            Some(Task::Setup) => false,
            None => without_task == DemoByDefault::Yes && !names_a_server,
        }
    }

    pub(crate) fn page(&self) -> PageAccess {
        let by_address = if self.listen.ip().is_loopback() { PageAccess::Full } else { PageAccess::Read };
        self.page.unwrap_or(by_address)
    }

    pub(crate) fn kafka_security(&self) -> Result<Security, KafkaError> {
        self.kafka_config.as_ref().map_or_else(|| Ok(Security::new()), Security::from_properties_file)
    }

    pub(crate) fn brokers(&self) -> Vec<String> {
        self.kafka_brokers.clone().unwrap_or_else(|| vec!["127.0.0.1:9092".to_owned()])
    }
}

/// A task other than to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum Task {
    /// Start a throw-away PostgreSQL, a broker and the relay, and serve; nothing of it outlives the process
    ///
    /// DATABASE_URL and KAFKA_BROKERS are ignored.
    Demo,
    /// Create the tables, the publication and the replication slot; harmless when repeated
    ///
    /// The role needs the right to create schemas in the database, to create publications, and REPLICATION. From the
    /// moment that the slot exists, PostgreSQL keeps its log until the connector has read it: start the connector soon.
    Setup,
}

/// The form of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum OutboxForm {
    /// Rows of the outbox table
    #[default]
    Table,
    /// Logical decoding messages, without a table
    Message,
}

/// Whether a start without a task and without servers is a demonstration.
///
/// A service that has lost its settings must not take orders into a database that ends with the process. So only those who
/// develop or try it get one without asking: in a debug build, or in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DemoByDefault {
    /// It starts its own servers.
    Yes,
    /// It is refused.
    No,
}

impl DemoByDefault {
    /// Decides for this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        if cfg!(feature = "embedded") && (cfg!(debug_assertions) || stdin().is_terminal()) {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// The access that the page at / has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum PageAccess {
    /// Shows everything, places orders, and retries and discards dead letters
    Full,
    /// Shows everything and changes nothing
    Read,
    /// There is no page
    Off,
}

/// Which parts of the service run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Mode {
    /// The HTTP interface and the consumer
    #[default]
    All,
    /// The HTTP interface alone
    Api,
    /// The consumer alone
    Consumer,
}

impl Mode {
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    pub(crate) fn consumes(self) -> bool {
        matches!(self, Self::All | Self::Consumer)
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// An object of JSON on each line
    Json,
}

/// A setting that is never shown. Every text is taken here and judged later: clap's own errors quote the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn broker(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("its form is HOST:PORT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str]) -> Settings {
        Settings::parse_from(["order-service"].iter().chain(arguments))
    }

    #[test]
    fn a_release_build_without_servers_is_no_demonstration_unless_it_is_asked_for() {
        assert!(!settings(&[]).is_demo(DemoByDefault::No));
        assert!(settings(&[]).is_demo(DemoByDefault::Yes));
        assert!(settings(&["demo"]).is_demo(DemoByDefault::No));
        for servers in [&["--database-url", "x"][..], &["--kafka-brokers", "a:1"], &["setup"]] {
            assert!(!settings(servers).is_demo(DemoByDefault::Yes), "{servers:?}");
        }
    }

    #[test]
    fn only_a_page_that_others_cannot_reach_changes_something_by_default() {
        assert_eq!(settings(&[]).page(), PageAccess::Full);
        assert_eq!(settings(&["--listen", "0.0.0.0:80"]).page(), PageAccess::Read);
        assert_eq!(settings(&["--listen", "0.0.0.0:80", "--page", "full"]).page(), PageAccess::Full);
    }
}
