//! `outbox doctor`: checks everything between the table and the consumers.

mod check;
mod connect;
mod connector;
mod consumer;
mod database;
mod relay;
mod topics;

use std::time::Duration;

use clap::Args;
use outbox_core::Identifier;
use outbox_kafka_consumer::Group;
use outbox_kafka_consumer::outbox_kafka::Cluster;

use self::check::{Check, Checks, Status};
use crate::connect::ConnectOptions;
use crate::exit::{Exit, Failure};
use crate::kafka::KafkaOptions;
use crate::model::{ModelOptions, identifier};
use crate::output::Output;
use crate::postgres::DatabaseOptions;

const EXAMPLES: &str = "Examples:
  outbox doctor --connector-config deploy/outbox-connector.json --brokers kafka:9092
  outbox doctor --connector outbox-connector --brokers kafka:9092 --group stock
  outbox doctor --connector-config deploy/outbox-connector.json --relay http://relay:9404 --output json";

/// Checks everything between the outbox table and the consumers, and says what to do
///
/// It checks the database, the table against its model, publication, slot, privileges, the connector's configuration,
/// Kafka Connect or the relay, Kafka and its topics, clocks, and consumer groups. It changes nothing. A part without an
/// address or a name is skipped.
///
/// Exit code: 1 if a check has failed, or with --strict if there is a warning.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Check this connector of Kafka Connect; without --connector-config its configuration is the model
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Check the relay whose --listen is at this address, such as http://relay:9404
    #[arg(long, value_name = "URL", env = "OUTBOX_RELAY_URL")]
    relay: Option<String>,
    /// Check this topic, in addition to those of the rows in the table; may be repeated
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Check this consumer group; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The schema of the consumer's tables
    #[arg(long, value_name = "SCHEMA", default_value = "outbox", value_parser = identifier)]
    consumer_schema: Identifier,
    /// Check the privileges of the role as which services enqueue
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    application_role: Option<Identifier>,
    /// Check the privileges of the role as which the connector or the relay reads [default: database.user of the
    /// connector]
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    connector_role: Option<Identifier>,
    /// Check the privileges of the role that keeps the table bounded
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    maintainer_role: Option<Identifier>,
    /// Exit with 1 if there is a warning
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    kafka: KafkaOptions,
    #[command(flatten)]
    model: ModelOptions,
}

impl Doctor {
    /// Runs every check that the options give access to. A server that is unreachable is a failed check, and the checks
    /// of the others still run.
    pub(crate) async fn run(self, output: Output, limit: Duration) -> Result<Exit, Failure> {
        let mut checks = Checks::default();
        let of_connect = match &self.connector {
            Some(name) => connect::check(&self.connect, name, self.model.file(), limit).await,
            None => connect::Found::default(),
        };
        let config = match (&of_connect.config, self.model.file()) {
            (Some(config), None) => config.clone(),
            _ => self.model.config()?,
        };
        let client = self.database.connect(limit).await;
        let model = match of_connect.config.is_some() || self.model.file().is_some() {
            true => connector::check(&self.model, &config, client.as_ref().ok(), &mut checks).await,
            false => Some(connector::assumed(&self.model, &mut checks)?),
        };

        let cluster = self.reachable_cluster(limit).await;
        let mut groups = Vec::new();
        match client {
            Err(failure) => {
                checks.add(
                    Check::failed("database", failure.to_string())
                        .remedy("check DATABASE_URL, and whether PostgreSQL runs"),
                );
            }
            Ok(client) => {
                let connector_role = self.connector_role.clone().or_else(|| connector::role(&config));
                let roles = [self.application_role.clone(), connector_role, self.maintainer_role.clone()];
                if let Some((pipeline, origin)) = &model {
                    database::check(&client, pipeline, *origin, roles, &mut checks).await;
                }
                for name in &self.groups {
                    let group = self.group(name, cluster.is_some(), limit).await?;
                    checks.extend(consumer::check(&group, name).await);
                    groups.push((name.clone(), group));
                }
            }
        }

        checks.extend(of_connect.checks);
        if let Some(url) = &self.relay {
            checks.extend(relay::check(url, limit).await);
        }

        let servers = connector::servers(&config, &self.database, &self.kafka, &self.topics).await;
        let topics = connector::topics(&servers, &self.topics);
        checks.extend(servers);

        if let Some(cluster) = cluster {
            checks.extend(topics::check(&cluster, &config, &topics, &groups).await);
        }

        output.print(&checks)?;
        let worst = checks.worst();
        let is_wrong = worst == Status::Failed || (self.strict && worst == Status::Warning);
        Ok(if is_wrong { Exit::Finding } else { Exit::Success })
    }

    /// Returns a client for Kafka. Brokers that do not answer are reported by the checks of the servers.
    async fn reachable_cluster(&self, limit: Duration) -> Option<Cluster> {
        let cluster = self.kafka.cluster(limit).ok().flatten()?;
        cluster.probe().await.ok().map(|()| cluster)
    }

    /// Returns a consumer group, which asks Kafka for the ends of its partitions if Kafka can be reached.
    async fn group(&self, name: &str, asks_kafka: bool, limit: Duration) -> Result<Group, Failure> {
        let group = Group::new(self.database.pool(limit).await?, &self.consumer_schema, name);
        Ok(match self.kafka.brokers()? {
            Some(brokers) if asks_kafka => group.kafka(brokers, self.kafka.security()?.unwrap_or_default()),
            _ => group,
        })
    }
}
