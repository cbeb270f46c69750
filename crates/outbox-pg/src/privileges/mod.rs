mod probe;
mod problem;
mod script;

use outbox_core::{Identifier, Pipeline};
use tokio_postgres::Client;

pub use self::problem::PrivilegeProblem;
pub use self::script::{
    Platform, application_role_sql, connector_role_sql, connector_role_sql_on, maintainer_role_sql,
};

use crate::Error;
use crate::session::Session;

/// The roles of an outbox.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Roles {
    /// The role by which services enqueue.
    pub application: Identifier,
    /// The role by which the connector or the relay reads.
    pub connector: Identifier,
    /// The role by which [`Maintenance`](crate::Maintenance) runs.
    pub maintainer: Identifier,
}

impl Roles {
    /// Creates the three roles.
    #[must_use]
    pub fn new(application: Identifier, connector: Identifier, maintainer: Identifier) -> Self {
        Self { application, connector, maintainer }
    }
}

/// The result of checking that each role has the privileges that it needs, and no others.
#[derive(Clone, Debug)]
pub struct Privileges {
    problems: Vec<PrivilegeProblem>,
}

impl Privileges {
    /// Checks the privileges of the roles: their own, those of PUBLIC, and those of the roles that they are members of.
    /// It changes nothing.
    ///
    /// # Errors
    /// The catalogs could not be read.
    pub async fn check(client: &Client, pipeline: &Pipeline, roles: &Roles) -> Result<Self, Error> {
        Self::check_on(&client.into(), pipeline, roles).await
    }

    /// Asks PostgreSQL for each privilege that a role must have, and for those that it must not have, with one query
    /// for each role.
    pub(crate) async fn check_on(client: &Session<'_>, pipeline: &Pipeline, roles: &Roles) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let probes = [
            (&roles.application, probe::application(pipeline.layout())),
            (&roles.connector, probe::connector(pipeline)),
            (&roles.maintainer, probe::maintainer(pipeline.layout())),
        ];

        for (role, probes) in probes {
            let failed = |e| Error::database(format!("read the rights of {role}"), e);
            let sql = "SELECT FROM pg_roles WHERE rolname = $1";
            if client.query_opt(sql, &[&role.as_str()]).await.map_err(failed)?.is_none() {
                problems.push(PrivilegeProblem::RoleMissing { role: role.clone() });
                continue;
            }
            let answers: Vec<_> = probes.iter().map(|probe| format!("coalesce(({}), false)", probe.sql)).collect();
            let sql = format!("SELECT ARRAY[{}]::boolean[] FROM (SELECT $1::name AS role) asked", answers.join(", "));
            let answers: Vec<bool> = client.query_one(&sql, &[&role.as_str()]).await.map_err(failed)?.get(0);
            let wrong = probes.into_iter().zip(answers).filter(|(probe, found)| probe.is_wanted != *found);
            problems.extend(wrong.map(|(probe, _)| probe.problem(role)));
        }
        Ok(Self { problems })
    }

    /// Returns the problems, each with its remedy; empty if there are none.
    #[must_use]
    pub fn problems(&self) -> &[PrivilegeProblem] {
        &self.problems
    }
}
