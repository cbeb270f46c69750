use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use outbox_testkit::local::{Account, Programs as PostgresPrograms};
use postgres::error::SqlState;

use super::error::StackError;
use super::options::StackOptions;
use super::paths;
use super::ports::Ports;
use super::process::{Launch, base_environment};
use super::provision::{Programs, Task, once};
use super::readiness::Probed;
use super::service::Service;
use super::sql;

/// The superuser and its password. Only this machine can connect.
pub(crate) const SUPERUSER: &str = "postgres";
pub(crate) const PASSWORD: &str = "postgres";
/// The database that `stack up` makes ready for the example and the connector.
pub(crate) const DATABASE: &str = "outbox_db";

/// The timeout of a server that is running.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time that the copying of a whole database may take.
const COPYING: Duration = Duration::from_secs(300);

/// Creates the cluster unless there is one.
pub(crate) fn prepare(
    options: &StackOptions,
    ports: &Ports,
    programs: &Programs,
    account: Option<&Account>,
) -> Result<Launch, StackError> {
    let planned = options.paths.home(Service::Postgres);
    let home = options.paths.reachable(&planned, account)?;
    if let (true, Some(account)) = (home != planned, account) {
        (options.report)(&format!(
            "the user `{}`, whom PostgreSQL runs as, cannot reach {}: its data is in {}",
            account.name(),
            planned.display(),
            home.display()
        ));
    }
    let data = home.join("data");
    once(&data, |partial| initialise(options, programs, account, &home, partial))?;
    refuse_another_version(&data, &programs.postgres)?;

    let settings = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", ports.postgres.to_string()),
        // The names of Unix sockets must be short, which the directory's may not be.
        ("unix_socket_directories", String::new()),
        ("wal_level", "logical".to_owned()),
        ("max_replication_slots", "64".to_owned()),
        ("max_wal_senders", "64".to_owned()),
        ("max_connections", "300".to_owned()),
        ("log_line_prefix", "%m [%p] %q%u@%d ".to_owned()),
    ];

    let mut args = vec!["-D".to_owned(), data.display().to_string()];
    for (name, value) in settings {
        args.push("-c".to_owned());
        args.push(format!("{name}={value}"));
    }

    Ok(Launch {
        program: programs.postgres.directory().join("postgres"),
        args,
        env: base_environment(),
        directory: home,
        account: account.cloned(),
        log: options.paths.log(Service::Postgres),
    })
}

pub(crate) fn probe(port: u16) -> Probed {
    Ok(sql::run(&url(port, "postgres"), vec!["SELECT 1".to_owned()], PATIENCE)?)
}

/// Creates the database unless it exists.
pub(crate) fn create_database(port: u16) -> Result<(), StackError> {
    match sql::run(&url(port, "postgres"), vec![format!("CREATE DATABASE {DATABASE}")], COPYING) {
        Err(error) if !error.has_code(&SqlState::DUPLICATE_DATABASE) => {
            Err(StackError::caused(format!("cannot create the database {DATABASE}"), error))
        }
        _ => Ok(()),
    }
}

/// Returns the superuser's connection to a database.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/{database}")
}

fn initialise(
    options: &StackOptions,
    programs: &Programs,
    account: Option<&Account>,
    home: &Path,
    data: &Path,
) -> Result<(), StackError> {
    (options.report)("creating a PostgreSQL cluster (initdb)");
    let password = home.join("password");
    paths::write(&password, PASSWORD)?;
    if let Some(account) = account {
        account.own(&password)?;
        account.own(data)?;
    }

    let mut initdb = Command::new(programs.postgres.directory().join("initdb"));
    initdb
        .arg("-D")
        .arg(data)
        .args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C"])
        .arg("--auth=scram-sha-256")
        .arg(format!("--pwfile={}", password.display()))
        .current_dir(home)
        .env_clear()
        .envs(base_environment());
    if let Some(account) = account {
        account.run(&mut initdb);
    }

    let task = Task::of(options);
    task.run("create a PostgreSQL cluster", initdb)?;
    fs::remove_file(&password).map_err(StackError::file("remove", &password))
}

fn refuse_another_version(data: &Path, programs: &PostgresPrograms) -> Result<(), StackError> {
    let file = data.join("PG_VERSION");
    let made_by = fs::read_to_string(&file).map_err(StackError::file("read", &file))?;
    let found = programs.version();
    if made_by.trim() == found.to_string() {
        return Ok(());
    }

    Err(StackError::new(format!(
        "the data in {} was made by PostgreSQL {}, but {} has version {found}; remove the data \
         with `cargo xtask stack down --purge`",
        data.display(),
        made_by.trim(),
        programs.directory().display()
    )))
}
