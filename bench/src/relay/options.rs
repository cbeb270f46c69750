use std::path::PathBuf;

use clap::{Args, ValueEnum};
use xtask::stack::workspace;

use crate::Outcome;

/// The parts to measure, and their sizes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The number of rows in a backlog
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rows: u64,

    /// The number of times that each drain is repeated; Debezium and the relay take turns
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// The time that each latency is measured, after two seconds that do not count
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,

    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,

    /// Leave Debezium out: the figures that compare stay empty
    #[arg(long)]
    pub(crate) without_debezium: bool,

    /// The number of partitions of the topics
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,

    /// The number of rows to drain while the relay's memory is measured
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) memory_rows: u64,

    /// Look at the relay's memory with ten times as many rows, too
    #[arg(long)]
    pub(crate) ten_million: bool,

    /// The file or directory for the results
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = workspace().join("target/bench"))]
    pub(crate) output: PathBuf,

    /// The relay's program; the one next to this program if it is not given
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A backlog, read as fast as it goes, and the limit of that
    Drain,
    /// From commit to readable
    Latency,
    /// Resident memory while a large backlog is drained
    Memory,
    /// A crash under load
    Restart,
    /// A backlog of messages without a table, compared with one of rows
    Messages,
    /// 300 partitions on three brokers, compared with one partition
    Partitions,
    /// A start with 200 partitions that have unconfirmed rows
    Start,
}

impl Options {
    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn relay(&self) -> Outcome<PathBuf> {
        let program = match &self.relay {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("outbox-relay"),
        };
        if program.is_file() {
            return Ok(program);
        }
        let program = program.display();
        Err(format!("there is no {program}: run `cargo build --release -p outbox-relay`, or name it with --relay")
            .into())
    }
}
