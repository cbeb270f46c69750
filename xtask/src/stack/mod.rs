//! A running set of PostgreSQL, Kafka and Kafka Connect with Debezium.

mod connect;
mod connect_rest;
mod error;
mod guarded;
mod http;
mod interrupt;
mod kafka;
mod kafka_client;
mod kafka_cluster;
mod lifecycle;
mod log;
mod options;
mod own_connect;
mod own_pgbouncer;
mod paths;
mod ports;
mod postgres;
mod postgres_version;
mod process;
mod properties;
mod provision;
mod readiness;
mod service;
mod sql;
mod state;
mod status;
mod test_database;
mod up;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::connect_rest::ConnectRest;
pub use self::error::StackError;
pub use self::interrupt::Interrupt;
pub use self::kafka_cluster::{
    Acl, AclOperation, KafkaCluster, KafkaClusterBuilder, ListenerSecurity, NewTopic, PartitionState, QuotaEntity,
    unsecured_token,
};
pub use self::log::{tail as log_tail, tail_with as log_tail_with};
pub use self::options::{Data, StackOptions};
pub use self::own_connect::OwnConnect;
pub use self::own_pgbouncer::OwnPgBouncer;
pub use self::paths::workspace;
pub use self::ports::free_port;
pub use self::postgres_version::PostgresVersion;
pub use self::provision::{chromium, installed_postgres, jmx_exporter, prepare_for_tests};
pub use self::service::Service;
pub use self::state::lock_file;
use self::state::{Locked, State, StateFile};
pub use self::status::{Condition, ServiceStatus};
pub use self::test_database::TestDatabase;

/// The variable that names the state file of the stack to use.
pub const STACK_VARIABLE: &str = "OUTBOX_STACK";

/// The time that a server that is started again may take to answer.
const START: Duration = Duration::from_secs(300);

/// A stack that was brought up.
///
/// The value holds only the addresses. Dropping it stops nothing. Several processes may use the same stack: they record
/// their changes in its state file, one at a time.
#[derive(Debug, Clone)]
pub struct Stack {
    file: StateFile,
    state: State,
}

impl Stack {
    /// Connects to the stack that the variable `OUTBOX_STACK` names, else the workspace's development stack.
    ///
    /// It does not check whether its servers answer, because a test may have stopped one on purpose.
    pub fn connect() -> Result<Self, StackError> {
        let path = match std::env::var_os(STACK_VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => StackOptions::development().state_file(),
        };
        let file = StateFile::at(path);
        let Some(state) = file.load()? else {
            return Err(StackError::new(format!(
                "no servers: there is no {}; run the tests by `cargo xtask test`, or start \
                 servers with `cargo xtask stack up`",
                file.path().display()
            )));
        };

        for service in Service::ALWAYS {
            state.service(service)?;
        }
        Ok(Self { file, state })
    }

    /// Brings a stack up: gets missing programs, starts the servers that do not run, and waits until all answer.
    pub fn up(options: &StackOptions) -> Result<Self, StackError> {
        Ok(Self { state: up::up(options)?, file: StateFile::at(options.state_file()) })
    }

    /// Stops all servers of a stack; false if there was nothing to stop.
    pub fn down(options: &StackOptions, data: Data) -> Result<bool, StackError> {
        up::down(options, data)
    }

    /// Returns the superuser's connection to the database `postgres`.
    pub fn postgres_url(&self) -> String {
        self.database_url("postgres")
    }

    /// Returns the superuser's connection to a database.
    pub fn database_url(&self, database: &str) -> String {
        postgres::url(self.postgres_port(), database)
    }

    /// Returns the address that PostgreSQL listens on.
    pub fn postgres_host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Returns the port that PostgreSQL listens on.
    pub fn postgres_port(&self) -> u16 {
        self.state.ports.postgres
    }

    /// Returns the directory of PostgreSQL's programs; a downloaded PostgreSQL has no `psql` there.
    pub fn postgres_programs(&self) -> &Path {
        &self.state.postgres_programs
    }

    /// Returns the addresses of all Kafka brokers, for `bootstrap.servers`.
    pub fn kafka_bootstrap(&self) -> String {
        self.state.kafka_bootstrap()
    }

    /// Returns the base of Kafka Connect's REST API.
    pub fn connect_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.ports.connect)
    }

    /// Returns a client for Kafka Connect's REST API.
    pub fn connect_rest(&self) -> ConnectRest {
        ConnectRest::new(self.connect_url())
    }

    /// Returns each server's condition now.
    pub fn status(&self) -> Result<Vec<ServiceStatus>, StackError> {
        Ok(status::of(&self.current()?))
    }

    /// Returns the file that a server logs to.
    pub fn log(&self, service: Service) -> Result<PathBuf, StackError> {
        Ok(self.state.service(service)?.launch.log.clone())
    }

    /// Returns a server's process, if it runs.
    pub fn pid(&self, service: Service) -> Result<Option<u32>, StackError> {
        Ok(self.current()?.running(service).map(|process| process.pid))
    }

    /// Ends a server in the orderly way; one that does not run is stopped already.
    pub fn stop(&self, service: Service) -> Result<(), StackError> {
        self.end(service, lifecycle::stop)
    }

    /// Ends a server at once, with SIGKILL to it and to its children.
    pub fn kill(&self, service: Service) -> Result<(), StackError> {
        self.end(service, lifecycle::kill)
    }

    /// Starts a server as it was started before, unless it runs, and waits until it answers.
    ///
    /// It continues after the calling process has ended.
    pub fn start(&self, service: Service) -> Result<(), StackError> {
        let (started, state) = {
            let locked = self.lock()?;
            let mut state = self.loaded(&locked)?;
            (lifecycle::spawn(&locked, &mut state, service)?, state)
        };
        lifecycle::await_ready(&state, service, &started, START, &Interrupt::default())
    }

    /// Lets a server pause: it keeps its connections and answers nothing.
    pub fn pause(&self, service: Service) -> Result<(), StackError> {
        lifecycle::pause(&self.current()?, service)
    }

    /// Lets a paused server continue.
    pub fn resume(&self, service: Service) -> Result<(), StackError> {
        lifecycle::resume(&self.current()?, service)
    }

    fn end(&self, service: Service, end: fn(&State, Service) -> Result<(), StackError>) -> Result<(), StackError> {
        let locked = self.lock()?;
        let mut state = self.loaded(&locked)?;
        end(&state, service)?;
        if let Some(known) = state.services.get_mut(&service) {
            known.process = None;
        }
        locked.save(&state)
    }

    fn lock(&self) -> Result<Locked<'_>, StackError> {
        self.file.lock(&Interrupt::default(), |_| {})
    }

    fn loaded(&self, locked: &Locked<'_>) -> Result<State, StackError> {
        locked.load()?.ok_or_else(|| self.gone())
    }

    fn current(&self) -> Result<State, StackError> {
        self.file.load()?.ok_or_else(|| self.gone())
    }

    fn gone(&self) -> StackError {
        StackError::new(format!(
            "the stack of {} was brought down meanwhile; run `cargo xtask stack up`",
            self.file.path().display()
        ))
    }
}
