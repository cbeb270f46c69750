use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::StackError;
use super::interrupt::Interrupt;
use super::ports::Ports;
use super::process::{Launch, ProcessIdentity};
use super::service::Service;

/// The state of the servers that were started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) ports: Ports,
    /// The directory of PostgreSQL's programs.
    pub(crate) postgres_programs: PathBuf,
    pub(crate) services: BTreeMap<Service, ServiceState>,
}

/// One server: how it is started, and the process that it runs as unless it was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceState {
    pub(crate) process: Option<ProcessIdentity>,
    pub(crate) launch: Launch,
}

impl State {
    /// Returns the process that is ours and runs.
    pub(crate) fn running(&self, service: Service) -> Option<&ProcessIdentity> {
        self.services.get(&service)?.process.as_ref().filter(|process| process.is_alive())
    }

    pub(crate) fn port(&self, service: Service) -> u16 {
        match service {
            Service::Postgres => self.ports.postgres,
            Service::Kafka => self.ports.kafka,
            Service::Kafka2 => self.ports.kafka2,
            Service::Kafka3 => self.ports.kafka3,
            Service::Connect => self.ports.connect,
        }
    }

    /// Returns the addresses of all Kafka brokers, for `bootstrap.servers`.
    pub(crate) fn kafka_bootstrap(&self) -> String {
        let brokers = self.services.keys().filter(|service| service.broker().is_some());
        brokers.map(|service| format!("127.0.0.1:{}", self.port(*service))).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn service(&self, service: Service) -> Result<&ServiceState, StackError> {
        self.services.get(&service).ok_or_else(|| {
            StackError::new(format!("{service} was never started in this stack: run `cargo xtask stack up`"))
        })
    }
}

/// The file that holds the [`State`]; processes that change it take turns by a lock next to it.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
}

/// The right to change the state, until dropped.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    file: &'a StateFile,
    _lock: File,
}

impl StateFile {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn load(&self) -> Result<Option<State>, StackError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StackError::file("read", &self.path)(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            StackError::caused(
                format!(
                    "{} is not the state of a stack; if no server of it runs any more, remove it",
                    self.path.display()
                ),
                error,
            )
        })
    }

    pub(crate) fn lock(&self, interrupt: &Interrupt, report: fn(&str)) -> Result<Locked<'_>, StackError> {
        let lock = lock_file(&self.path.with_extension("lock"), interrupt, || {
            report("waiting for another process that is working on this stack");
        })?;
        Ok(Locked { file: self, _lock: lock })
    }
}

impl Locked<'_> {
    pub(crate) fn load(&self) -> Result<Option<State>, StackError> {
        self.file.load()
    }

    pub(crate) fn save(&self, state: &State) -> Result<(), StackError> {
        let path = &self.file.path;
        let text = serde_json::to_string_pretty(state)
            .map_err(|error| StackError::caused("cannot render the stack's state", error))?;
        // Readers do not take the lock: they must see the old state or the new one.
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, text).map_err(StackError::file("write", &fresh))?;
        fs::rename(&fresh, path).map_err(StackError::file("replace", path))
    }

    pub(crate) fn remove(&self) -> Result<(), StackError> {
        match fs::remove_file(&self.file.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StackError::file("remove", &self.file.path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Locks a file, which is created if it is missing; calls `wait` once if another process has it.
pub fn lock_file(path: &Path, interrupt: &Interrupt, wait: impl FnOnce()) -> Result<File, StackError> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(StackError::file("open", path))?;
    let mut wait = Some(wait);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(StackError::file("lock", path)(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(wait) = wait.take() {
            wait();
        }
        interrupt.check()?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let directory = std::env::temp_dir().join(format!("outbox-state-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = StateFile::at(directory.join("state.json"));
        assert_eq!(file.load().unwrap(), None);

        let state = State {
            ports: Ports { postgres: 1, kafka: 2, kafka2: 5, kafka3: 6, controller: 3, connect: 4 },
            postgres_programs: PathBuf::from("/programs"),
            services: BTreeMap::from([(
                Service::Kafka,
                ServiceState {
                    process: ProcessIdentity::of(std::process::id()),
                    launch: Launch {
                        program: PathBuf::from("java"),
                        args: vec!["-Xmx512m".to_owned()],
                        env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
                        directory: directory.clone(),
                        account: None,
                        log: directory.join("kafka.log"),
                    },
                },
            )]),
        };

        let locked = file.lock(&Interrupt::default(), |_| {}).unwrap();
        locked.save(&state).unwrap();

        let loaded = file.load().unwrap().unwrap();
        assert_eq!(loaded, state);
        assert!(loaded.running(Service::Kafka).is_some());
        assert!(loaded.running(Service::Connect).is_none());
        assert_eq!(loaded.port(Service::Connect), 4);

        locked.remove().unwrap();
        assert_eq!(file.load().unwrap(), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_file_that_is_no_state_is_an_error_that_names_it() {
        let path = std::env::temp_dir().join(format!("outbox-bad-{}.json", std::process::id()));
        fs::write(&path, "{}").unwrap();
        let error = StateFile::at(path.clone()).load().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()));
        fs::remove_file(&path).unwrap();
    }
}
