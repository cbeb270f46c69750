use clap::{Args, ValueEnum};
use outbox_core::{Identifier, Pipeline};
use outbox_pg::{Platform, application_role_sql, connector_role_sql_on, maintainer_role_sql};

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
    #[command(flatten)]
    operator: ServerOperator,
}

/// The operator of the PostgreSQL server, on which it depends how a role gets the right to replicate.
#[derive(Args, Default)]
#[group(skip)]
pub(super) struct ServerOperator {
    /// Print the connector's role for this operator of the PostgreSQL server
    #[arg(long, value_enum, value_name = "PLATFORM", default_value = "self-managed")]
    platform: PlatformName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PlatformName {
    /// A server with a superuser, or from PostgreSQL 16 on a role with CREATEROLE and REPLICATION
    #[default]
    SelfManaged,
    /// Amazon RDS and Aurora
    AmazonRds,
    /// Google Cloud SQL and AlloyDB
    CloudSql,
    /// Azure Database for PostgreSQL, flexible server
    Azure,
    /// Neon
    Neon,
    /// Supabase
    Supabase,
}

impl ServerOperator {
    /// Returns the SQL of the role as which the connector or the relay reads.
    pub(super) fn connector_role_sql(&self, pipeline: &Pipeline, role: &Identifier) -> String {
        let platform = match self.platform {
            PlatformName::SelfManaged => Platform::SelfManaged,
            PlatformName::AmazonRds => Platform::AmazonRds,
            PlatformName::CloudSql => Platform::CloudSql,
            PlatformName::Azure => Platform::Azure,
            PlatformName::Neon => Platform::Neon,
            PlatformName::Supabase => Platform::Supabase,
        };
        connector_role_sql_on(pipeline, role, platform)
    }
}

impl Roles {
    pub(crate) fn run(self, model: &ModelOptions) -> Result<Exit, Failure> {
        let pipeline = model.pipeline()?;
        let application = self.application.map(|role| application_role_sql(&pipeline, &role));
        let connector = self.connector.map(|role| self.operator.connector_role_sql(&pipeline, &role));
        let maintainer = self.maintainer.map(|role| maintainer_role_sql(&pipeline, &role));
        let scripts: Vec<_> = [application, connector, maintainer].into_iter().flatten().collect();
        if scripts.is_empty() {
            return Err(Failure::usage("no role is named: give --application, --connector or --maintainer"));
        }
        write(&scripts.join("\n"))?;
        Ok(Exit::Success)
    }
}
