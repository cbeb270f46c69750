use std::path::PathBuf;

use clap::Args;
use xtask::stack::workspace;

/// The parts to measure, and their sizes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The number of turns of each way to write; the median of their ratios counts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=10_000))]
    pub(super) pairs: u32,

    /// The number of transactions in a turn
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) transactions: u32,

    /// The number of turns of each way to write 1,000 events
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(20..=1_000))]
    pub(super) batches: u32,

    /// The file or directory for the results
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = workspace().join("target/bench"))]
    pub(super) output: PathBuf,
}
