//! The speed at which events are decoded, fetched, and applied exactly once.

mod arrival;
mod conditions;
mod decode;
mod effects;
mod events;
mod fetch;
pub(crate) mod idle;
mod naive;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use xtask::stack::{Stack, workspace};

use self::events::FullTopic;
use crate::machine::Machine;
use crate::process::peak_resident_mb;
use crate::relay::Setting;
use crate::{Outcome, report};

/// The parts to measure, and their sizes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The number of events to apply
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,

    /// The number of times that each measurement is repeated; those that are compared take turns, and the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// The time that the time from commit to effect is measured, after two seconds that do not count
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,

    /// The number of known events in the large inbox
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    inbox: u64,

    /// The largest number of events in a call of the batch handler
    #[arg(long, default_value_t = const { NonZeroUsize::new(2_048).unwrap() })]
    batch: NonZeroUsize,

    /// The number of workers that call the batch handler for each partition
    #[arg(long, default_value_t = const { NonZeroUsize::new(2).unwrap() })]
    batch_workers: NonZeroUsize,

    /// The number of partitions of the topics
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,

    /// The file or directory for the results
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = workspace().join("target/bench"))]
    output: PathBuf,

    /// The relay's program; the one next to this program if it is not given
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Events applied exactly once, next to a transaction for each
    Effects,
    /// The same if events of all aggregates change 1,000 rows
    Shared,
    /// From commit to effect, through the relay
    Latency,
    /// A topic fetched and decoded, next to fetching alone
    Fetch,
    /// Records decoded
    Decode,
    /// Effects with a large inbox, and with an old snapshot
    Conditions,
    /// Memory with many partitions and no events
    Idle,
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measures, and writes `consumer.json`. Parts that were not run are null.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let runs = options.output.join("runs");
    std::fs::create_dir_all(&runs)
        .map_err(|error| format!("cannot create {}: {error}; choose another --output", runs.display()))?;
    let relay = match &options.relay {
        Some(relay) => relay.clone(),
        None => std::env::current_exe()?.with_file_name("outbox-relay"),
    };
    if options.has(Part::Latency) && !relay.is_file() {
        return Err(format!("{} does not exist; build it, or give --relay", relay.display()).into());
    }
    let stack = Stack::connect()?;
    let machine = Machine::of(&stack).await?;
    let (mut effects, mut shared, mut conditions, mut arrival) = (None, None, None, None);
    let (mut fetch, mut decode, mut idle) = (None, None, None);

    let mut full = None;
    if [Part::Effects, Part::Shared, Part::Conditions, Part::Fetch].into_iter().any(|part| options.has(part)) {
        full = Some(FullTopic::create(options.partitions, options.events).await?);
    }
    if let Some(full) = full.as_ref().filter(|_| options.has(Part::Effects)) {
        report(&format!("effects of {} events, next to a transaction for each", options.events));
        effects = Some(effects::compare(full, options.rounds, (options.batch, options.batch_workers)).await?);
    }
    if let Some(full) = full.as_ref().filter(|_| options.has(Part::Shared)) {
        report("effects on shared rows, next to a transaction for each event");
        shared = Some(effects::compare_shared(full, options.rounds).await?);
    }
    if let Some(full) = full.as_ref().filter(|_| options.has(Part::Conditions)) {
        report("effects with a large inbox, and with an old snapshot");
        conditions = Some(conditions::compare(full, options.rounds, options.inbox).await?);
    }

    if options.has(Part::Idle) {
        report("memory with many partitions and no events");
        idle = Some(idle::measure().await?);
    }
    if options.has(Part::Latency) {
        report("from commit to effect, through the relay");
        let setting = Setting::new(stack, relay, runs, options.partitions);
        arrival = Some(arrival::measure(&setting, options.seconds).await?);
    }

    let rss = peak_resident_mb(std::process::id());
    if let Some(full) = full.as_ref().filter(|_| options.has(Part::Fetch)) {
        report("fetching and decoding, next to fetching alone");
        fetch = Some(fetch::compare(full, options.rounds).await?);
    }
    drop(full);

    if options.has(Part::Decode) {
        report("decoding");
        decode = Some(decode::rates(options.rounds)?);
    }

    let summary = json!({
        "decode_per_s": decode.map(|rates| rates.plain.round()),
        "decode_typed_per_s": decode.map(|rates| rates.typed.round()),
        "native_decode_per_s": decode.map(|rates| rates.native.round()),
        "native_fetch_over_rskafka": fetch.as_ref().map(|fetch| fetch.native_fraction),
        "idle_200_partitions_rss_mb": idle.as_ref().map(|idle| idle.rss_mb),
        "fetch_fraction_of_raw": fetch.as_ref().map(|fetch| fetch.fraction),
        "effects_per_s": effects.as_ref().map(|effects| effects.per_second.round()),
        "effects_ratio_vs_naive": effects.as_ref().map(|effects| effects.ratio),
        "batch_effects_ratio_vs_naive": effects.as_ref().map(|effects| effects.batch_ratio),
        "shared_rows_effects_per_s": shared.as_ref().map(|shared| shared.per_second.round()),
        "shared_rows_effects_ratio_vs_naive": shared.as_ref().map(|shared| shared.ratio),
        "effects_with_20m_inbox_fraction": conditions.as_ref().map(|conditions| conditions.full_inbox_fraction),
        "effects_with_old_snapshot_fraction": conditions.as_ref().map(|conditions| conditions.old_snapshot_fraction),
        "commit_to_effect_p50_ms": arrival.as_ref().map(|arrival| arrival.p50_ms),
        "commit_to_effect_p99_ms": arrival.as_ref().map(|arrival| arrival.p99_ms),
        "rss_mb": (effects.is_some() || arrival.is_some()).then_some(rss),
        "raw": {
            "machine": machine, "allocator": if cfg!(feature = "mimalloc") { "mimalloc" } else { "system" },
            "events": options.events, "partitions": options.partitions,
            "batch": options.batch, "batch_workers": options.batch_workers,
            "idle": idle, "decode": decode, "fetch": fetch, "effects": effects, "shared": shared, "conditions": conditions, "arrival": arrival,
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
