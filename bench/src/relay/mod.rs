//! The relay and Debezium in turn, on the same servers, with the same rows.

mod drain;
mod engine;
mod latency;
mod limit;
mod messages;
mod options;
mod partitions;
mod primed;
mod restart;
mod results;
mod setting;
mod start;
mod summary;

use xtask::stack::Stack;

use self::drain::Comparison;
pub(crate) use self::engine::{Engine, Kind};
pub(crate) use self::options::Options;
use self::options::Part;
use self::results::Results;
pub(crate) use self::setting::Setting;
use self::setting::{BUSY, CALM, SHAPES};
use crate::machine::Machine;
use crate::run_env::Shape;
use crate::{Outcome, chart, report};

/// Measures, and writes `relay.json` and `relay.svg`. What fails does not keep the rest from being measured.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let runs = options.output.join("runs");
    // What the relays of the last time have logged.
    let _ = std::fs::remove_dir_all(&runs);
    std::fs::create_dir_all(&runs)
        .map_err(|error| format!("cannot create {}: {error}; choose another --output", runs.display()))?;

    let setting = Setting::new(Stack::connect()?, options.relay()?, runs, options.partitions);
    let mut results = Results::new(Machine::of(&setting.stack).await?, &options);
    let kinds: &[Kind] = if options.without_debezium { &[Kind::Relay] } else { &[Kind::Debezium, Kind::Relay] };
    if options.has(Part::Drain) {
        drains(&setting, &options, kinds, &mut results).await;
    }
    if options.has(Part::Latency) {
        for kind in kinds {
            results.latency(latency::run(&setting, *kind, CALM, options.seconds).await);
        }
        results.latency(latency::run(&setting, Kind::Relay, BUSY, options.seconds).await);
    }

    if options.has(Part::Memory) {
        memory(&setting, &options, &mut results).await;
    }
    if options.has(Part::Restart) {
        for kind in kinds {
            results.restart(restart::run(&setting, *kind).await);
        }
    }
    if options.has(Part::Start) {
        results.starts(start::run(&setting, options.rounds).await);
    }
    if options.has(Part::Messages) {
        messages::run(&setting, &options, &mut results).await;
    }

    if options.has(Part::Partitions)
        && let Err(error) = partitions::run(&setting, &options, &mut results).await
    {
        results.failed(error);
    }

    let summary = summary::of(&results);
    let (json, svg) = (options.output.join("relay.json"), options.output.join("relay.svg"));
    std::fs::write(&json, format!("{summary:#}\n"))?;
    std::fs::write(&svg, chart::svg("The relay next to Debezium", &summary::charts(&results)))?;
    println!("{}", summary::table(&results));
    report(&format!("the results are in {} and {}", json.display(), svg.display()));
    results.outcome()
}

async fn drains(setting: &Setting, options: &Options, kinds: &[Kind], results: &mut Results) {
    // A broker that has just started compiles its code during its first drain, on the cores that everything shares.
    report("a drain that does not count, for the broker");
    if let Err(error) = drain::run(setting, Kind::Relay, Shape::OneTransaction, options.rows, Comparison::Nothing).await
    {
        results.failed(error);
    }

    for shape in SHAPES {
        for round in 1..=options.rounds {
            for kind in kinds {
                report(&format!("round {round} of {}", options.rounds));
                results.drain(drain::run(setting, *kind, shape, options.rows, Comparison::Limit).await);
            }
        }
    }
}

async fn memory(setting: &Setting, options: &Options, results: &mut Results) {
    let factors: &[u64] = if options.ten_million { &[1, 10] } else { &[1] };
    for factor in factors {
        for shape in [Shape::OneTransaction, Shape::Transactions(10)] {
            let rows = options.memory_rows * factor;
            results.memory(drain::run(setting, Kind::Relay, shape, rows, Comparison::Nothing).await);
        }
    }
    if !options.without_debezium && !options.has(Part::Drain) {
        let shape = Shape::OneTransaction;
        results.memory(drain::run(setting, Kind::Debezium, shape, options.rows, Comparison::Nothing).await);
    }
}
