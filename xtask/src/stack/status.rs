use std::fmt;
use std::path::PathBuf;

use super::lifecycle;
use super::service::Service;
use super::state::State;

/// The condition of one server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// The server.
    pub service: Service,
    /// Its condition.
    pub condition: Condition,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The file that it logs to.
    pub log: PathBuf,
}

/// The condition of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It runs and answers.
    Answering,
    /// It runs, but does not answer.
    Silent,
    /// It does not run.
    Dead,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Answering => "answering",
            Self::Silent => "no answer",
            Self::Dead => "dead",
        })
    }
}

pub(crate) fn of(state: &State) -> Vec<ServiceStatus> {
    state
        .services
        .iter()
        .map(|(service, known)| {
            let process = state.running(*service);
            ServiceStatus {
                service: *service,
                condition: match process {
                    None => Condition::Dead,
                    Some(_) if lifecycle::probe(state, *service).is_ok() => Condition::Answering,
                    Some(_) => Condition::Silent,
                },
                pid: process.map(|process| process.pid),
                port: state.port(*service),
                log: known.launch.log.clone(),
            }
        })
        .collect()
}
