//! `outbox roles` and `outbox config generate`: files that are made from the model of the outbox.

mod sql;
mod yaml;

use clap::{Args, Subcommand};
use outbox_core::{Identifier, Pipeline};

use self::yaml::{ComposeOptions, StrimziOptions, compose_file, strimzi_manifests};
use crate::exit::{Exit, Failure};
use crate::model::{ModelOptions, identifier};
use crate::output::write;

pub(crate) use self::sql::Roles;

const EXAMPLES: &str = "Examples:
  outbox config generate connector --slot billing > connector.json
  outbox config generate sql --connector-role cdc --application-role shop > setup.sql
  outbox config generate compose > docker-compose.yml && docker compose up --wait
  outbox config generate strimzi --image registry.example.com/connect:1 | kubectl apply -f -";

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints files that are made from the model of the outbox
    #[command(subcommand, after_help = EXAMPLES)]
    Generate(Generated),
}

#[derive(Subcommand)]
pub(crate) enum Generated {
    /// The connector's configuration, for outbox connector apply
    Connector {
        #[command(flatten)]
        changes: Changes,
    },
    /// A script for psql: tables, publication, slot, and the roles that are named
    ///
    /// It can be run again. The password of the connector's role comes from OUTBOX_DB_PASSWORD in the environment of
    /// psql, unless psql has a variable password.
    Sql {
        #[command(flatten)]
        changes: Changes,
        #[command(flatten)]
        roles: sql::ScriptRoles,
    },
    /// A compose file for trials on one machine: PostgreSQL, Kafka, Kafka Connect, tables, roles, slot and connector
    Compose {
        #[command(flatten)]
        changes: Changes,
        #[command(flatten)]
        options: ComposeOptions,
    },
    /// Manifests for Strimzi on Kubernetes: a KafkaConnect with the plugin of Debezium, and a KafkaConnector
    Strimzi {
        #[command(flatten)]
        changes: Changes,
        #[command(flatten)]
        options: StrimziOptions,
    },
}

/// The differences from the recommended configuration of the connector.
#[derive(Args)]
pub(crate) struct Changes {
    /// The replication slot
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    slot: Option<Identifier>,
    /// The publication
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    publication: Option<Identifier>,
    /// Set another key of the connector's configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

impl ConfigCommand {
    pub(crate) fn run(self, model: &ModelOptions) -> Result<Exit, Failure> {
        let Self::Generate(generated) = self;
        let text = match generated {
            Generated::Connector { changes } => changes.pipeline(model)?.config().to_json(),
            Generated::Sql { changes, roles } => sql::script(&changes.pipeline(model)?, &roles),
            Generated::Compose { changes, options } => compose_file(&changes.pipeline(model)?, &options)?,
            Generated::Strimzi { changes, options } => strimzi_manifests(&changes.pipeline(model)?, &options),
        };
        write(&text)?;
        Ok(Exit::Success)
    }
}

impl Changes {
    /// Returns the model with the changes.
    fn pipeline(self, model: &ModelOptions) -> Result<Pipeline, Failure> {
        let slot = self.slot.map(|slot| ("slot.name".to_owned(), slot.as_str().to_owned()));
        let publication = self.publication.map(|name| ("publication.name".to_owned(), name.as_str().to_owned()));
        let changes = slot.into_iter().chain(publication).chain(self.set);
        model.pipeline_with(changes.fold(model.config()?, |config, (key, value)| config.with(key, value)))
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is written KEY=VALUE")?;
    let lower = key.to_ascii_lowercase();
    // A jaas.config has its password within.
    let is_placeholder = if lower.ends_with("jaas.config") { value.contains("${") } else { value.starts_with("${") };
    let is_secret = ["password", "secret", "jaas.config"].iter().any(|word| lower.contains(word));
    match is_secret && !is_placeholder {
        true => Err("a password is not an option: write a placeholder such as ${env:OUTBOX_DB_PASSWORD}".to_owned()),
        false => Ok((key.to_owned(), value.to_owned())),
    }
}
