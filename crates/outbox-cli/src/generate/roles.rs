use clap::Args;
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
