//! The checks of PostgreSQL. Most are health indicators and problems of `outbox-pg`: a new indicator appears without a
//! change here.

use outbox_core::{Identifier, Pipeline};
use outbox_net::ErrorChain;
use outbox_pg::{
    Indicator, IndicatorStatus, PipelineMonitor, PrivilegeProblem, Privileges, Problem, Readiness, Roles, Thresholds,
};
use tokio_postgres::Client;

use super::check::{Check, Checks, Status};
use super::connector::TableOrigin;

/// The connections of the relay during its catch-up; Debezium needs two.
const CONNECTIONS: i32 = 4;
/// Indicators that the readiness covers.
const COVERED: [&str; 3] = ["readiness", "wal_level", "slot_present"];

/// Checks the server, the table, the publication, the slot, and the privileges of roles.
pub(super) async fn check(
    client: &Client,
    pipeline: &Pipeline,
    origin: TableOrigin,
    roles: [Option<Identifier>; 3],
    checks: &mut Checks,
) {
    let unread = |e: &outbox_pg::Error| Check::failed("database", ErrorChain::new(e).to_string());
    match is_standby(client).await {
        Err(e) => return checks.add(Check::failed("database", ErrorChain::new(&e).to_string())),
        Ok(true) => {
            // A standby does not show the objects of the primary, such as its slots.
            let found = "it is a standby: events are written and slots are read at its primary";
            return checks.add(Check::failed("server", found).remedy("set DATABASE_URL to the primary"));
        }
        Ok(false) => {}
    }

    match Readiness::check(client, pipeline).await {
        Err(e) => return checks.add(unread(&e)),
        Ok(readiness) => {
            let problems = readiness.problems().iter();
            let problems = problems.filter(|problem| origin == TableOrigin::Migrations || !is_of_enqueue(problem));
            checks.extend(problems.map(|problem| of_problem(problem, pipeline)));
            checks.add(Check::ok("server", "wal_level is logical"));
            checks.extend(good(pipeline));
        }
    }

    match PipelineMonitor::new(pipeline.clone(), Thresholds::default()).check(client).await {
        Err(e) => checks.add(unread(&e)),
        Ok(health) => {
            let indicators = health.indicators().iter().filter(|indicator| !COVERED.contains(&indicator.name));
            checks.extend(indicators.map(of_indicator));
        }
    }
    let reader = roles[1].clone();
    checks.extend(privileges(client, pipeline, roles).await);
    if let Some(reader) = reader {
        checks.extend(connection_limit(client, &reader).await);
    }
}

/// Checks that the connector's role may open the connections that a reader needs.
async fn connection_limit(client: &Client, role: &Identifier) -> Option<Check> {
    let sql = "SELECT rolconnlimit, rolvaliduntil <= now() FROM pg_roles WHERE rolname = $1";
    let row = client.query_opt(sql, &[&role.as_str()]).await.ok().flatten()?;
    let (limit, is_over): (i32, Option<bool>) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
    let name = "connections of the role";
    if is_over == Some(true) {
        let found = format!("the password of the role {role} is no longer valid (VALID UNTIL)");
        return Some(Check::failed(name, found).remedy(format!("ALTER ROLE {role} VALID UNTIL 'infinity'")));
    }

    let found = format!(
        "the role {role} may open {limit} connections (CONNECTION LIMIT), and a reader needs up to {CONNECTIONS}"
    );
    let is_short = (0..CONNECTIONS).contains(&limit);
    is_short.then(|| Check::warning(name, found).remedy(format!("ALTER ROLE {role} CONNECTION LIMIT -1")))
}

/// Returns whether a problem does not concern a table that other programs write: its columns define its model.
fn is_of_enqueue(problem: &Problem) -> bool {
    matches!(problem, Problem::Column { .. } | Problem::UnfilledColumn { .. } | Problem::NoUniqueId { .. })
}

async fn is_standby(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)
}

/// Returns the results of table, publication and slot, for those that have no problem.
fn good(pipeline: &Pipeline) -> Vec<Check> {
    let (publication, slot) = (pipeline.publication().as_str(), pipeline.slot().as_str());
    let table = pipeline.layout().qualified_name();
    let [table, publication] = match pipeline.layout().row_life().has_table() {
        true => [
            Check::ok("table", format!("{table} is as the model says")),
            Check::ok("publication", format!("{publication} publishes inserts into {table}")),
        ],
        false => [
            Check::ok("table", "events are messages in the WAL, without a table: no row shows what was committed"),
            Check::ok("publication", format!("{publication} exists, and messages need no table in it")),
        ],
    };
    vec![table, publication, Check::ok("slot", format!("{slot} exists, and reads this database"))]
}

/// Names the thing that a problem is about, and the command that solves it.
fn of_problem(problem: &Problem, pipeline: &Pipeline) -> Check {
    let slot = pipeline.slot().as_str();
    let (name, remedy) = match problem {
        Problem::WalLevel { .. } => ("server", None),
        Problem::TableMissing { .. } | Problem::OtherRowLife { .. } => {
            ("table", Some("outbox migrate apply".to_owned()))
        }
        Problem::MaintenanceMissing { .. } => ("table", Some("outbox migrate apply --maintenance".to_owned())),
        Problem::PublicationMissing { .. } => {
            ("publication", Some(format!("outbox migrate apply, then outbox slot create {slot}")))
        }
        Problem::TableNotPublished { .. }
        | Problem::InsertsNotPublished { .. }
        | Problem::PartitionsPublished { .. }
        | Problem::RowFilter { .. }
        | Problem::ColumnsNotPublished { .. } => ("publication", None),
        Problem::HistoryMissing { .. } => ("slot", Some("outbox migrate apply".to_owned())),
        Problem::SlotMissing { .. } => ("slot", Some(format!("outbox slot create {slot}"))),
        Problem::SlotLost { .. } | Problem::SlotGone { .. } => {
            ("slot", Some(format!("outbox slot create {slot} --recreate, then outbox replay run NAME --missed")))
        }
        Problem::SlotOfOtherDatabase { .. } | Problem::SlotOfOtherPlugin { .. } | Problem::SlotBlocked { .. } => {
            ("slot", None)
        }
        _ => ("table", None),
    };

    let check = Check::failed(name, problem.to_string());
    remedy.map_or(check.clone(), |remedy| check.remedy(remedy))
}

fn of_indicator(indicator: &Indicator) -> Check {
    let status = match indicator.status {
        IndicatorStatus::Good => Status::Ok,
        IndicatorStatus::Warning => Status::Warning,
        IndicatorStatus::Critical => Status::Failed,
        // The value is known only after a second check.
        _ => Status::Skipped,
    };
    let check = Check::new(indicator.name.replace('_', " "), status, indicator.value.to_string());
    // Advice is shown only if the status is good.
    match indicator.remedy.as_ref().or(indicator.advice.as_ref()) {
        Some(remedy) => check.remedy(remedy.clone()),
        None => check,
    }
}

/// Checks the roles that are named: of application, connector and maintainer.
async fn privileges(client: &Client, pipeline: &Pipeline, roles: [Option<Identifier>; 3]) -> Vec<Check> {
    let name = "privileges";
    let named: Vec<_> = roles.iter().flatten().cloned().collect();
    let Some(any) = named.first().cloned() else {
        let check = Check::skipped(name, "no role is named");
        return vec![check.remedy("give --application-role, --connector-role and --maintainer-role")];
    };

    // Without a name, the check runs for a role that does not exist; its problems are removed below.
    let nobody = Identifier::new("outbox-doctor:nobody").unwrap_or(any);
    let [application, connector, maintainer] = roles.map(|role| role.unwrap_or_else(|| nobody.clone()));
    match Privileges::check(client, pipeline, &Roles::new(application, connector, maintainer)).await {
        Err(e) => vec![Check::failed(name, ErrorChain::new(&e).to_string())],
        Ok(rights) => {
            let is_named = |problem: &&PrivilegeProblem| match problem {
                PrivilegeProblem::RoleMissing { role }
                | PrivilegeProblem::Lacks { role, .. }
                | PrivilegeProblem::Has { role, .. } => named.contains(role),
                _ => true,
            };

            // A superuser has all other privileges as well.
            let superusers: Vec<_> = rights.problems().iter().filter_map(superuser).collect();
            let is_cause = |problem: &&PrivilegeProblem| match problem {
                PrivilegeProblem::Has { role, .. } => !superusers.contains(&role) || superuser(problem).is_some(),
                _ => true,
            };
            let problems = rights.problems().iter().filter(is_named).filter(is_cause);
            let problems: Vec<_> = problems.map(of_right).collect();
            let good = Check::ok(name, "the roles have what they need, and nothing else");
            if problems.is_empty() { vec![good] } else { problems }
        }
    }
}

/// Returns the role of a problem, if it is that the role is a superuser.
fn superuser(problem: &PrivilegeProblem) -> Option<&Identifier> {
    match problem {
        PrivilegeProblem::Has { role, right, .. } if right == "SUPERUSER" => Some(role),
        _ => None,
    }
}

fn of_right(problem: &PrivilegeProblem) -> Check {
    let status = match problem {
        PrivilegeProblem::Has { .. } => Status::Warning,
        _ => Status::Failed,
    };
    Check::new("privileges", status, problem.to_string()).remedy("outbox roles prints the SQL of each role")
}
