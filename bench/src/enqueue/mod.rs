//! The cost that enqueue adds to a transaction, next to an INSERT written by hand.

mod batch;
mod handwritten;
mod options;
mod outbox_env;
mod serializable;
mod single;
mod summary;
mod writer;

use xtask::stack::Stack;

pub(crate) use self::options::Options;
use self::outbox_env::{OutboxEnvs, SynchronousCommit};
use self::summary::Measured;
use crate::machine::Machine;
use crate::{Outcome, report};

/// Measures, and writes `enqueue.json`.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    std::fs::create_dir_all(&options.output)
        .map_err(|error| format!("cannot create {}: {error}; choose another --output", options.output.display()))?;
    let stack = Stack::connect()?;
    let machine = Machine::of(&stack).await?;
    let envs = OutboxEnvs::create().await?;
    let (on, off) = (
        measure(&envs, &options, SynchronousCommit::On).await?,
        measure(&envs, &options, SynchronousCommit::Off).await?,
    );
    report("eight at once under SERIALIZABLE");
    let serializable = serializable::count(&envs).await?;
    envs.remove();

    let summary = summary::of(&machine, &options, [&on, &off], &serializable);
    let file = options.output.join("enqueue.json");
    std::fs::write(&file, format!("{summary:#}\n"))?;
    for (name, figure) in summary.as_object().into_iter().flatten().filter(|(name, _)| *name != "raw") {
        println!("{name:32} {figure}");
    }
    report(&format!("the results are in {}", file.display()));
    Ok(())
}

async fn measure(envs: &OutboxEnvs, options: &Options, commit: SynchronousCommit) -> Outcome<Measured> {
    report(&format!("one event in a transaction, synchronous_commit {commit}"));
    let single = single::compare(envs, options, commit).await?;
    report(&format!("1,000 events in a transaction, synchronous_commit {commit}"));
    let batch = batch::compare(envs, options.batches, commit).await?;
    Ok(Measured { synchronous_commit: commit, single, batch })
}
