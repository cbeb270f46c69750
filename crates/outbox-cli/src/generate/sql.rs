use clap::{Args, ValueEnum};
use outbox_core::{Identifier, Pipeline, RowLife};
use outbox_pg::{Migrations, Platform, application_role_sql, connector_role_sql_on, maintainer_role_sql};

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

/// The roles that the script creates.
#[derive(Args, Default)]
#[group(skip)]
pub(crate) struct ScriptRoles {
    /// Create the role as which the connector or the relay reads
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    pub(super) connector_role: Option<Identifier>,
    /// Create the role as which services enqueue
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    pub(super) application_role: Option<Identifier>,
    /// Create the role that keeps the table bounded
    #[arg(long, value_name = "ROLE", value_parser = identifier)]
    pub(super) maintainer_role: Option<Identifier>,
    #[command(flatten)]
    pub(super) operator: ServerOperator,
}

/// Returns the script for psql that sets a database up, which does nothing if it is run again.
pub(super) fn script(pipeline: &Pipeline, roles: &ScriptRoles) -> String {
    let layout = pipeline.layout();
    let mut tables = Migrations::outbox(pipeline).script().to_string();

    if layout.row_life() == RowLife::Partitioned {
        tables.push_str(&Migrations::maintenance(pipeline).script().to_string());
    }

    let slot = literal(pipeline.slot().as_str());
    let is_new = match layout.row_life().has_table() {
        true => format!("SELECT to_regclass({}) IS NULL", literal(&layout.qualified_name())),
        false => {
            let publication = literal(pipeline.publication().as_str());
            format!("SELECT NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {publication})")
        }
    };
    let mut script = format!(
        "-- Made by `outbox config generate sql`, for psql 15 or later: psql -X -f setup.sql\n\
         \\set ON_ERROR_STOP on\n\
         \n\
         {is_new} AS is_new \\gset\n\
         \\if :is_new\n\
         {tables}\
         \\endif\n\
         \n\
         -- An event that commits before the slot exists is never published.\n\
         SELECT slot_name FROM pg_create_logical_replication_slot({slot}, 'pgoutput')\n\
         WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {slot});\n",
    );

    if let Some(role) = &roles.connector_role {
        script.push_str("\n\\if :{?password}\n\\else\n\\getenv password OUTBOX_DB_PASSWORD\n\\endif\n");
        script.push_str(&roles.operator.connector_role_sql(pipeline, role));
    }
    let application = roles.application_role.iter().map(|role| application_role_sql(pipeline, role));
    let maintainer = roles.maintainer_role.iter().map(|role| maintainer_role_sql(pipeline, role));
    for role in application.chain(maintainer) {
        script.push('\n');
        script.push_str(&role);
    }
    script
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
