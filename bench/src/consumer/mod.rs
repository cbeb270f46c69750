//! How fast events are decoded, fetched, and applied exactly once.

mod arrival;
mod decode;
mod effects;
mod events;
mod fetch;
mod naive;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use xtask::stack::{Stack, workspace};

use self::events::Stand;
use crate::machine::Machine;
use crate::process::peak_resident_mb;
use crate::relay::Setting;
use crate::{Outcome, report};

/// What to measure, and how much of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How many events are applied
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,

    /// How often each measurement is repeated; those that are compared take turns, and the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// How long the time from commit to effect is measured, after two seconds that do not count
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// How many partitions the topics have
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,

    /// Where the results go
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = workspace().join("target/bench"))]
    output: PathBuf,

    /// The relay's program; the one beside this program if it is not given
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
}

/// Measures, and writes `consumer.json`.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let relay = match options.relay {
        Some(relay) => relay,
        None => std::env::current_exe()?.with_file_name("outbox-relay"),
    };
    let runs = options.output.join("runs");
    std::fs::create_dir_all(&runs)
        .map_err(|error| format!("cannot create {}: {error}; choose another --output", runs.display()))?;
    let setting = Setting { stack: Stack::connect()?, relay, runs, partitions: options.partitions };
    let machine = Machine::of(&setting.stack).await?;

    report(&format!("effects of {} events, beside a transaction for each", options.events));
    let stand = Stand::create(&setting.stack, options.partitions, options.events).await?;
    let effects = effects::compare(&stand, options.rounds).await?;
    report("from commit to effect, through the relay");
    let arrival = arrival::measure(&setting, options.seconds).await?;
    let rss = peak_resident_mb(std::process::id());
    report("fetching and decoding, beside fetching alone");
    let fetch = fetch::compare(&stand, options.rounds).await?;
    stand.remove().await?;
    report("decoding");
    let decode = decode::rates(options.rounds)?;

    let summary = json!({
        "decode_per_s": decode.plain.round(),
        "decode_typed_per_s": decode.typed.round(),
        "fetch_fraction_of_raw": fetch.fraction,
        "effects_per_s": effects.per_second.round(),
        "effects_ratio_vs_naive": effects.ratio,
        "commit_to_effect_p50_ms": arrival.p50_ms,
        "commit_to_effect_p99_ms": arrival.p99_ms,
        "rss_mb": rss,
        "raw": {
            "machine": machine, "events": options.events, "partitions": options.partitions,
            "decode": decode, "fetch": fetch, "effects": effects, "arrival": arrival,
        },
    });
    let file = options.output.join("consumer.json");
    std::fs::write(&file, format!("{summary:#}\n"))?;
    for (name, figure) in summary.as_object().into_iter().flatten().filter(|(name, _)| *name != "raw") {
        println!("{name:28} {figure}");
    }
    report(&format!("the results are in {}", file.display()));
    Ok(())
}
