//! Starting and ending single servers, as the state file knows them.

use std::time::Duration;

use rustix::process::Signal;

use super::error::StackError;
use super::interrupt::Interrupt;
use super::log;
use super::process::ProcessIdentity;
use super::readiness::{Pending, Probed, wait_until};
use super::service::Service;
use super::state::{Locked, State};
use super::{connect, kafka, postgres};

const STOP: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
/// PostgreSQL does not start while the pid of its predecessor is taken.
const REAPING: Duration = Duration::from_secs(5);

/// A server whose process runs, with the length that its log had before.
#[derive(Debug)]
pub(crate) struct Started {
    process: ProcessIdentity,
    log_start: u64,
}

/// Starts a server unless it runs, and notes its process in the state file.
pub(crate) fn spawn(locked: &Locked<'_>, state: &mut State, service: Service) -> Result<Started, StackError> {
    let launch = &state.service(service)?.launch;
    let log_start = log::end(&launch.log);
    if let Some(process) = state.running(service) {
        return Ok(Started { process: process.clone(), log_start });
    }
    let process = launch.spawn()?;
    if let Some(known) = state.services.get_mut(&service) {
        known.process = Some(process.clone());
    }
    locked.save(state)?;
    Ok(Started { process, log_start })
}

/// Waits until a server that was started answers.
pub(crate) fn await_ready(
    state: &State,
    service: Service,
    started: &Started,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<(), StackError> {
    let pending = Pending {
        service,
        process: &started.process,
        log: &state.service(service)?.launch.log,
        log_start: started.log_start,
        timeout,
        interrupt,
    };
    pending.wait(|| probe(state, service))
}

/// Returns whether a server answers now.
pub(crate) fn probe(state: &State, service: Service) -> Probed {
    let port = state.port(service);
    match service {
        Service::Postgres => postgres::probe(port),
        Service::Kafka | Service::Kafka2 | Service::Kafka3 => kafka::probe(port),
        Service::Connect => connect::probe(port),
    }
}

/// Ends a server in the orderly way, or by force if that takes too long.
pub(crate) fn stop(state: &State, service: Service) -> Result<(), StackError> {
    let Some(process) = state.running(service) else {
        return Ok(());
    };
    process.signal(match service {
        // The signal of `pg_ctl stop -m fast`; SIGTERM would wait for the clients to leave.
        Service::Postgres => Signal::INT,
        _ => Signal::TERM,
    })?;

    // A paused server cannot end.
    signal_family(process, Signal::CONT)?;
    if wait_until(STOP, || !process.is_alive()) {
        wait_until(REAPING, || process.is_gone());
        return Ok(());
    }
    kill(state, service)
}

/// Ends a server as a crash of its machine would.
pub(crate) fn kill(state: &State, service: Service) -> Result<(), StackError> {
    let Some(process) = state.running(service) else {
        return Ok(());
    };
    let children = process.children();
    process.signal(Signal::KILL)?;
    for child in &children {
        child.signal(Signal::KILL)?;
    }

    let ended = |process: &ProcessIdentity| !process.is_alive();
    if wait_until(END, || ended(process) && children.iter().all(ended)) {
        wait_until(REAPING, || process.is_gone());
        return Ok(());
    }
    Err(StackError::new(format!("{service}, process {}, has not ended {} s after SIGKILL", process.pid, END.as_secs())))
}

/// Lets a server and its children pause.
pub(crate) fn pause(state: &State, service: Service) -> Result<(), StackError> {
    signal_family(running(state, service)?, Signal::STOP)
}

/// Lets a server that is stopped continue.
pub(crate) fn resume(state: &State, service: Service) -> Result<(), StackError> {
    signal_family(running(state, service)?, Signal::CONT)
}

fn running(state: &State, service: Service) -> Result<&ProcessIdentity, StackError> {
    state.running(service).ok_or_else(|| StackError::new(format!("{service} does not run: start it first")))
}

fn signal_family(process: &ProcessIdentity, signal: Signal) -> Result<(), StackError> {
    process.signal(signal)?;
    for child in process.children() {
        child.signal(signal)?;
    }
    Ok(())
}
