//! The cost that enqueue adds to a transaction, next to an INSERT written by hand.

mod batch;
mod handwritten;
mod serializable;
mod single;
mod stand;
mod summary;
mod writer;

use std::path::PathBuf;

use clap::Args;
use outbox_core::RowLife;
use serde::Serialize;
use xtask::stack::{Stack, workspace};

use self::single::Single;
use self::stand::Stand;
use crate::machine::Machine;
use crate::{Outcome, report};

/// The parts to measure, and their sizes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How many turns each way to write has; the median of their ratios counts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=10_000))]
    pairs: u32,

    /// How many transactions a turn has
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    transactions: u32,

    /// How many turns each way to write 1,000 events has
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(20..=1_000))]
    batches: u32,

    /// The file or directory for the results
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = workspace().join("target/bench"))]
    output: PathBuf,
}

/// The server's setting of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SynchronousCommit {
    On,
    Off,
}

/// The outboxes that are compared, one database each.
struct Stands {
    keep: Stand,
    partitions: Stand,
    vanish: Stand,
    message: Stand,
}

/// Measures, and writes `enqueue.json`.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    std::fs::create_dir_all(&options.output)
        .map_err(|error| format!("cannot create {}: {error}; choose another --output", options.output.display()))?;
    let stack = Stack::connect()?;
    let machine = Machine::of(&stack).await?;
    let stands = Stands {
        keep: Stand::create(RowLife::Keep).await?,
        partitions: Stand::create(RowLife::Partitioned).await?,
        vanish: Stand::create(RowLife::DeleteOnInsert).await?,
        message: Stand::create(RowLife::Message).await?,
    };
    let (on, off) = (
        measure(&stands, &options, SynchronousCommit::On).await?,
        measure(&stands, &options, SynchronousCommit::Off).await?,
    );
    report("eight at once under SERIALIZABLE");
    let serializable = serializable::count(&stands).await?;
    stands.remove();

    let summary = summary::of(&machine, &options, [&on, &off], &serializable);
    let file = options.output.join("enqueue.json");
    std::fs::write(&file, format!("{summary:#}\n"))?;
    for (name, figure) in summary.as_object().into_iter().flatten().filter(|(name, _)| *name != "raw") {
        println!("{name:32} {figure}");
    }
    report(&format!("the results are in {}", file.display()));
    Ok(())
}

/// The measurements with one setting of `synchronous_commit`.
#[derive(Debug, Serialize)]
struct Measured {
    synchronous_commit: SynchronousCommit,
    single: Single,
    batch: batch::Batch,
}

async fn measure(stands: &Stands, options: &Options, commit: SynchronousCommit) -> Outcome<Measured> {
    report(&format!("one event in a transaction, synchronous_commit {commit}"));
    let single = single::compare(stands, options, commit).await?;
    report(&format!("1,000 events in a transaction, synchronous_commit {commit}"));
    let batch = batch::compare(stands, options.batches, commit).await?;
    Ok(Measured { synchronous_commit: commit, single, batch })
}

impl Stands {
    fn remove(self) {
        tokio::task::block_in_place(|| drop(self));
    }
}

impl std::fmt::Display for SynchronousCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}
