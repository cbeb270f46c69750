//! `cargo xtask stack`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use xtask::stack::{Condition, Data, Interrupt, ServiceStatus, Stack, StackOptions};

use crate::outcome::{Outcome, report};

#[derive(Debug, Subcommand)]
pub(crate) enum StackTask {
    /// Start what does not run, and wait until all of it answers
    Up(UpTask),
    /// Report how each server is doing; fails if one of them is not answering
    Status,
    /// Stop the servers
    Down {
        /// Remove their data and logs, too
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpTask {
    /// The number of Kafka brokers to start
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    brokers: u8,
    /// The port of PostgreSQL [default: 15432]
    #[arg(long, value_name = "PORT")]
    postgres_port: Option<u16>,
    /// The port of Kafka [default: 19092]
    #[arg(long, value_name = "PORT")]
    kafka_port: Option<u16>,
    /// The port of Kafka's controller [default: 19093]
    #[arg(long, value_name = "PORT")]
    controller_port: Option<u16>,
    /// The port of Kafka Connect's REST API [default: 18083]
    #[arg(long, value_name = "PORT")]
    connect_port: Option<u16>,
}

impl StackTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        let options = StackOptions::development().interrupt(interrupt.clone()).report(report);
        match self {
            Self::Up(task) => up(&task.apply(options)).inspect_err(|_| {
                if interrupt.is_raised() {
                    report("what was started keeps running; stop it with `cargo xtask stack down`");
                }
            }),
            Self::Status => status(),
            Self::Down { purge } => down(&options, if purge { Data::Remove } else { Data::Keep }),
        }
    }
}

impl UpTask {
    fn apply(&self, options: StackOptions) -> StackOptions {
        let mut options = options.brokers(self.brokers);
        if let Some(port) = self.postgres_port {
            options = options.postgres_port(port);
        }
        if let Some(port) = self.kafka_port {
            options = options.kafka_port(port);
        }

        if let Some(port) = self.controller_port {
            options = options.controller_port(port);
        }
        if let Some(port) = self.connect_port {
            options = options.connect_port(port);
        }
        options
    }
}

fn up(options: &StackOptions) -> Outcome {
    let stack = Stack::up(options)?;
    print_table(&stack.status()?);
    println!();
    println!("PostgreSQL     {}", stack.database_url("outbox_db"));
    println!("Kafka          {}", stack.kafka_bootstrap());
    println!("Kafka Connect  {}", stack.connect_url());
    println!();
    println!("stop them with `cargo xtask stack down`");
    Ok(ExitCode::SUCCESS)
}

fn status() -> Outcome {
    let services = Stack::connect()?.status()?;
    print_table(&services);
    let all_answer = services.iter().all(|service| service.condition == Condition::Answering);
    Ok(if all_answer { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn down(options: &StackOptions, data: Data) -> Outcome {
    let stopped = Stack::down(options, data)?;
    report(match (stopped, data) {
        (true, Data::Keep) => "all stopped; the data is kept",
        (true, _) => "all stopped, the data is removed",
        (false, Data::Keep) => "there is nothing to stop",
        (false, _) => "there was nothing to stop; the data is removed",
    });
    Ok(ExitCode::SUCCESS)
}

fn print_table(services: &[ServiceStatus]) {
    println!("{:<14} {:<9} {:>8} {:<16} log", "server", "state", "pid", "listens on");
    for found in services {
        let ServiceStatus { service, condition, pid, port, log, .. } = found;
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let address = format!("127.0.0.1:{port}");
        println!("{service:<14} {condition:<9} {pid:>8} {address:<16} {}", log.display());
    }
}
