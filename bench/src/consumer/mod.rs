//! What a consumer of events can do.

mod decode;

use clap::Args;

use crate::Outcome;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many records are decoded in a round
    #[arg(long, default_value_t = 200_000)]
    records: usize,
    /// How often; the median counts
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

pub(crate) fn run(options: &Options) -> Outcome<()> {
    let decoded = decode::rates(options.records, options.rounds)?;
    println!("{decoded:?}");
    Ok(())
}
