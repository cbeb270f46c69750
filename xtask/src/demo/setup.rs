//! The parts that must exist before the example can run.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::stack::{Stack, workspace};

use crate::outcome::report;

pub(crate) const PACKAGE: &str = "order-service";
pub(crate) const CONNECTOR: &str = "outbox-connector";
pub(crate) const DATABASE: &str = "outbox_db";
/// The connector's password in Kafka Connect's environment.
const CONNECTOR_PASSWORD: &str = "outbox_connector";
const START: Duration = Duration::from_secs(60);

type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs the example's own `setup`: tables, publication and slot.
pub(crate) fn create_tables(stack: &Stack, program: &Path) -> Done {
    report("creating the tables, the publication and the slot (order-service setup)");
    let mut setup = Command::new(program);
    setup.arg("setup").env("DATABASE_URL", stack.database_url(DATABASE));
    run(&mut setup, "order-service setup")
}

/// Creates the role that Debezium connects as.
pub(crate) fn create_connector_role(stack: &Stack) -> Done {
    report("creating the connector's role (psql -f deploy/connector-role.sql)");
    let beside_postgres = stack.postgres_programs().join("psql");
    let program = if beside_postgres.is_file() { beside_postgres } else { PathBuf::from("psql") };
    let mut psql = Command::new(program);
    psql.args(["-X", "-q", "-h", stack.postgres_host()])
        .args(["-p", &stack.postgres_port().to_string()])
        .args(["-U", "postgres", "-d", DATABASE])
        .args(["-v", "ON_ERROR_STOP=1"])
        .args(["-v", &format!("password={CONNECTOR_PASSWORD}")])
        .arg("-f")
        .arg(workspace().join("deploy/connector-role.sql"))
        .env("PGPASSWORD", "postgres");
    run(&mut psql, "psql (Debian: `apt-get install postgresql-client`)")
}

/// Gives Kafka Connect the connector's configuration.
pub(crate) fn create_connector(stack: &Stack) -> Done {
    let path = workspace().join("deploy/outbox-connector.json");
    report(&format!("configuring the connector (PUT /connectors/{CONNECTOR}/config)"));
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let config: Value =
        serde_json::from_str(&text).map_err(|error| format!("{} is not JSON: {error}", path.display()))?;
    let connect = stack.connect_rest();

    // Of an earlier trial; the same configuration once more would not restart its tasks.
    if connect.wait_running(CONNECTOR, Duration::ZERO).is_err() {
        connect.delete(CONNECTOR)?;
    }
    connect.put_config(CONNECTOR, &config)?;
    connect.wait_running(CONNECTOR, START)?;
    Ok(())
}

fn run(command: &mut Command, what: &str) -> Done {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{what} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}
