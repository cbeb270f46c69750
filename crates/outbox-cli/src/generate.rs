use clap::{Args, Subcommand};
use outbox_core::Identifier;
use outbox_pg::{application_role_sql, connector_role_sql, maintainer_role_sql};

use crate::exit::{Exit, Failure};
use crate::model::{ModelOptions, identifier};
use crate::output::write;

/// The roles whose SQL is printed.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Roles {
    /// Print the SQL of the role as which services enqueue
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    application: Option<Identifier>,
    /// Print the SQL of the role as which the connector or the relay reads
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    connector: Option<Identifier>,
    /// Print the SQL of the role that keeps the table bounded
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    maintainer: Option<Identifier>,
}

impl Roles {
    pub(crate) fn run(self, model: &ModelOptions) -> Result<Exit, Failure> {
        let pipeline = model.pipeline()?;
        let application = self.application.map(|role| application_role_sql(&pipeline, &role));
        let connector = self.connector.map(|role| connector_role_sql(&pipeline, &role));
        let maintainer = self.maintainer.map(|role| maintainer_role_sql(&pipeline, &role));
        let scripts: Vec<_> = [application, connector, maintainer].into_iter().flatten().collect();
        if scripts.is_empty() {
            return Err(Failure::usage("no role is named: give --application, --connector or --maintainer"));
        }
        write(&scripts.join("\n"))?;
        Ok(Exit::Success)
    }
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints files that are made from the model of the outbox
    #[command(subcommand)]
    Generate(Generated),
}

#[derive(Subcommand)]
pub(crate) enum Generated {
    /// The connector's configuration, for outbox connector apply
    Connector {
        /// The replication slot
        #[arg(long, value_name = "NAME", value_parser = identifier)]
        slot: Option<Identifier>,
        /// The publication
        #[arg(long, value_name = "NAME", value_parser = identifier)]
        publication: Option<Identifier>,
        /// Set another key; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, model: &ModelOptions) -> Result<Exit, Failure> {
        match self {
            Self::Generate(Generated::Connector { slot, publication, set }) => {
                let slot = slot.map(|slot| ("slot.name".to_owned(), slot.as_str().to_owned()));
                let publication = publication.map(|name| ("publication.name".to_owned(), name.as_str().to_owned()));
                let changes = slot.into_iter().chain(publication).chain(set);
                let config = changes.fold(model.config()?, |config, (key, value)| config.with(key, value));
                write(&model.pipeline_with(config)?.config().to_json())?;
            }
        }
        Ok(Exit::Success)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is written KEY=VALUE")?;
    match key.to_ascii_lowercase().contains("password") && !value.starts_with("${") {
        true => Err("a password is not an option: write a placeholder such as ${env:OUTBOX_DB_PASSWORD}".to_owned()),
        false => Ok((key.to_owned(), value.to_owned())),
    }
}
