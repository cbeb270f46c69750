//! The workspace's tasks; `cargo xtask help` lists them.

mod bench;
mod child;
mod demo;
mod outcome;
mod program;
mod release;
mod servers;
mod test;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use xtask::stack::Interrupt;

use self::outcome::Outcome;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Servers to develop against: PostgreSQL, Kafka, Kafka Connect with Debezium
    #[command(subcommand)]
    Stack(servers::StackTask),
    /// Run all tests against servers of their own, which are stopped afterwards
    Test(test::TestTask),
    /// Show the example at work: an order, its event through Debezium and Kafka, its receipt
    Demo(demo::DemoTask),
    /// Measure on servers of their own, which are stopped afterwards
    #[command(subcommand)]
    Bench(bench::BenchTask),
    /// Make the files of a release: programs, bills of materials, checksums, images' directories
    Release(release::ReleaseTask),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    let interrupt = Interrupt::new(flag);
    match arguments.task {
        Task::Stack(task) => task.run(&interrupt),
        Task::Test(task) => task.run(&interrupt),
        Task::Demo(task) => task.run(&interrupt),
        Task::Bench(task) => task.run(&interrupt),
        Task::Release(task) => task.run(),
    }
}
