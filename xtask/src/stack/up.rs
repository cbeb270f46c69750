//! Bringing a whole stack up and down.

use std::collections::BTreeMap;
use std::time::Instant;

use outbox_testkit::local::Account;

use super::error::StackError;
use super::lifecycle::{self, Started};
use super::options::{Data, StackOptions};
use super::paths;
use super::ports::{self, Ports};
use super::provision::Programs;
use super::service::Service;
use super::state::{Locked, ServiceState, State, StateFile};
use super::{connect, kafka, postgres};

/// Starts what does not run, and waits until all of it answers.
pub(crate) fn up(options: &StackOptions) -> Result<State, StackError> {
    paths::create(&options.paths.logs())?;
    let file = StateFile::at(options.paths.state());
    let locked = file.lock(&options.interrupt, options.report)?;
    let known = match locked.load()? {
        Some(state) if is_running(&state) && !options.services().eq(state.services.keys().copied()) => {
            return Err(StackError::new(
                "the servers run with another number of Kafka brokers; run `cargo xtask stack down` first",
            ));
        }
        Some(state) if is_up(&state) => {
            (options.report)("already up");
            return Ok(state);
        }
        known => known,
    };

    let mut state = prepare(options, known)?;
    locked.save(&state)?;

    let postgres = spawn(options, &locked, &mut state, Service::Postgres)?;
    let mut brokers = Vec::new();
    for service in options.services().filter(|service| service.broker().is_some()) {
        brokers.push((service, spawn(options, &locked, &mut state, service)?));
    }

    await_ready(options, &state, Service::Postgres, &postgres)?;
    postgres::create_database(state.ports.postgres)?;
    for (service, started) in &brokers {
        await_ready(options, &state, *service, started)?;
    }

    let connect = spawn(options, &locked, &mut state, Service::Connect)?;
    await_ready(options, &state, Service::Connect, &connect)?;
    Ok(state)
}

/// Stops what runs; false if there was nothing to stop.
pub(crate) fn down(options: &StackOptions, data: Data) -> Result<bool, StackError> {
    let root = options.paths.root();
    if !root.exists() {
        return Ok(false);
    }

    let file = StateFile::at(options.paths.state());
    let locked = file.lock(&options.interrupt, options.report)?;
    let state = locked.load()?;
    if let Some(state) = &state {
        for service in Service::ALL.iter().rev() {
            if state.running(*service).is_some() {
                (options.report)(&format!("stopping {service}"));
            }
            lifecycle::stop(state, *service)?;
        }
        locked.remove()?;
    }

    if data == Data::Remove {
        options.paths.purge()?;
    }
    Ok(state.is_some())
}

fn is_up(state: &State) -> bool {
    state.services.keys().all(|service| state.running(*service).is_some() && lifecycle::probe(state, *service).is_ok())
}

fn is_running(state: &State) -> bool {
    state.services.keys().any(|service| state.running(*service).is_some())
}

/// Gets the programs, and writes the configurations of the servers that do not run.
fn prepare(options: &StackOptions, known: Option<State>) -> Result<State, StackError> {
    let account = Account::for_postgres()?;
    let programs = Programs::provide(options, account.as_ref())?;
    let ports = choose_ports(options, known.as_ref())?;
    refuse_fewer_brokers(options)?;

    let mut known = known.map_or_else(BTreeMap::new, |state| state.services);
    let mut services = BTreeMap::new();

    for service in options.services() {
        let launch = match service {
            Service::Postgres => postgres::prepare(options, &ports, &programs, account.as_ref())?,
            Service::Connect => connect::prepare(options, &ports, &programs)?,
            _ => kafka::prepare(options, &ports, &programs, service)?,
        };
        let process = known
            .remove(&service)
            .and_then(|service: ServiceState| service.process)
            .filter(|process| process.is_alive());
        services.insert(service, ServiceState { process, launch });
    }
    Ok(State { ports, postgres_programs: programs.postgres.directory().to_path_buf(), services })
}

/// Rejects fewer brokers than an earlier run had. Topics of an earlier run may have all of their replicas on brokers
/// that would now be missing.
fn refuse_fewer_brokers(options: &StackOptions) -> Result<(), StackError> {
    let wanted: Vec<_> = options.services().collect();
    match Service::ALL.iter().rev().find(|service| !wanted.contains(service) && options.paths.home(**service).exists())
    {
        Some(missing) => Err(StackError::new(format!(
            "there is data of {missing}: start the servers with `--brokers {}`, or remove their data with `cargo xtask \
             stack down --purge`",
            missing.broker().unwrap_or(1)
        ))),
        None => Ok(()),
    }
}

/// Chooses the ports. A stack that partly runs keeps its ports, because its parts know each other by them.
fn choose_ports(options: &StackOptions, known: Option<&State>) -> Result<Ports, StackError> {
    let Some(state) = known else {
        return Ports::choose(options.wanted_ports(options.ports), options.report);
    };
    let (running, ended): (Vec<Service>, Vec<Service>) =
        state.services.keys().partition(|service| state.running(**service).is_some());

    if running.is_empty() {
        return Ports::choose(options.wanted_ports(state.ports), options.report);
    }

    for service in ended {
        let mut needed = vec![state.port(service)];
        if service == Service::Kafka {
            needed.push(state.ports.controller);
        }
        if let Some(port) = needed.into_iter().find(|port| !ports::is_free(*port)) {
            return Err(StackError::new(format!(
                "{service} has ended and its port {port} is now used by another program; end \
                 that one, or run `cargo xtask stack down` and `cargo xtask stack up` for new ports"
            )));
        }
    }
    Ok(state.ports)
}

fn spawn(
    options: &StackOptions,
    locked: &Locked<'_>,
    state: &mut State,
    service: Service,
) -> Result<Started, StackError> {
    options.interrupt.check()?;
    if state.running(service).is_none() {
        (options.report)(&format!("starting {service} on 127.0.0.1:{}", state.port(service)));
    }
    lifecycle::spawn(locked, state, service)
}

fn await_ready(options: &StackOptions, state: &State, service: Service, started: &Started) -> Result<(), StackError> {
    let begin = Instant::now();
    (options.report)(&format!("waiting for {service} to answer"));
    lifecycle::await_ready(state, service, started, options.timeout, &options.interrupt)?;
    (options.report)(&format!("{service} answers after {:.1} s", begin.elapsed().as_secs_f64()));
    Ok(())
}
