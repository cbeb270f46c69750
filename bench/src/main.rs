//! Measures the workspace's programs next to what they can take the place of; `cargo xtask bench` runs it.

mod chart;
mod consumer;
mod enqueue;
mod ledger;
mod load;
mod machine;
mod outcome;
mod percentile;
mod process;
mod relay;
mod rows;
mod run_env;
mod tail;
mod topic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::outcome::{Failure, Outcome, report};

#[derive(Debug, Parser)]
#[command(name = "outbox-bench", about)]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// The relay next to Debezium on Kafka Connect, on the servers that OUTBOX_STACK names
    Relay(relay::Options),
    /// The consumer: how fast it decodes, fetches and applies events
    Consumer(consumer::Options),
    /// A consumer whose memory is measured
    #[command(hide = true)]
    IdleConsumer(consumer::idle::Options),
    /// The cost that enqueue adds to a transaction, next to an INSERT written by hand
    Enqueue(enqueue::Options),
}

/// The allocator that services with much to consume are advised to use; `--no-default-features` measures with the
/// system's own.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", outbox_net::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Outcome<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Dropping a value ends its processes and removes its database.
    tokio::select! {
        outcome = measure(arguments.subject) => outcome,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("interrupted".into()),
    }
}

async fn measure(subject: Subject) -> Outcome<()> {
    match subject {
        Subject::Relay(options) => Box::pin(relay::run(options)).await,
        Subject::Consumer(options) => Box::pin(consumer::run(options)).await,
        Subject::IdleConsumer(options) => Box::pin(consumer::idle::run(options)).await,
        Subject::Enqueue(options) => Box::pin(enqueue::run(options)).await,
    }
}
