use super::account::Account;
use super::error::{Kind, PostgresError};
use super::guarded::Guarded;
use super::home::{Home, log_tail};
use super::programs::Programs;
use super::random;

pub(super) const SUPERUSER: &str = "postgres";

/// An initialised data directory and what it takes to serve it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) programs: Programs,
    pub(super) account: Option<Account>,
    pub(super) home: Home,
    pub(super) password: Secret,
}

pub(super) struct Secret(pub(super) String);

impl Cluster {
    /// Runs `initdb`.
    ///
    /// There is a random password, as a loopback port is open to every user of the machine, and a server that later
    /// gets the same port must not be taken for this one. It is sent in clear over the loopback: SCRAM would cost each
    /// connection of a client that is built without optimisation tens of milliseconds.
    pub(super) fn initialise(programs: Programs, account: Option<Account>) -> Result<Self, PostgresError> {
        let home = Home::create(account.as_ref())?;
        let password = random::hex::<16>()?;
        let file = home.write_secret("password", &password, account.as_ref())?;
        let mut args =
            ["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", "--auth=password"].map(str::to_owned).to_vec();
        args.extend([format!("--pgdata={}", home.data().display()), format!("--pwfile={}", file.display())]);
        let program = programs.directory.join("initdb");
        let status = Guarded::spawn(&program, &args, &home, account.as_ref())?
            .wait()
            .map_err(PostgresError::file("run", &program))?;
        if !status.success() {
            let (status, output) = (status.to_string(), log_tail(&home.log(), 0));
            return Err(PostgresError::new(Kind::Initialise { status, output }));
        }
        std::fs::remove_file(&file).map_err(PostgresError::file("remove", &file))?;
        Ok(Self { programs, account, home, password: Secret(password) })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("_")
    }
}
