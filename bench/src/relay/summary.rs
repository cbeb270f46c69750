use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::drain::Drain;
use super::engine::Kind;
use super::latency::Latency;
use super::partitions;
use super::restart::Restart;
use super::results::Results;
use super::setting::{BUSY, CALM, SHAPES};
use crate::chart::{Bar, Chart};
use crate::load::Rate;
use crate::percentile::median;
use crate::run_env::Shape;

/// Returns the figures that all of it comes down to, and `raw`, all that was measured. What was not measured is null.
pub(crate) fn of(results: &Results) -> Value {
    let small = Shape::Transactions(1);
    let (relay, debezium) = (latency(results, Kind::Relay, CALM), latency(results, Kind::Debezium, CALM));
    let restart = restart(results, Kind::Relay);

    json!({
        "throughput_ratio_one_tx": throughput_ratio(results, Shape::OneTransaction),
        "throughput_ratio_small_tx": throughput_ratio(results, small),
        "limit_fraction_one_tx": limit_fraction(results, Shape::OneTransaction),
        "limit_fraction_small_tx": limit_fraction(results, small),
        "cpu_seconds_ratio_one_tx": cpu_ratio(results, Shape::OneTransaction),
        "cpu_seconds_ratio_small_tx": cpu_ratio(results, small),
        "latency_p50_ratio": ratio(debezium.map(|it| it.p50_ms), relay.map(|it| it.p50_ms)),
        "relay_p50_ms": relay.map(|it| it.p50_ms),
        "relay_p99_ms": relay.map(|it| it.p99_ms),
        "rss_relay_mb": relay_memory(results),
        "rss_debezium_mb": debezium_memory(results),
        "restart_first_record_ms": restart.filter(|it| it.lost == 0).map(|it| it.first_record_ms),
        "restart_duplicates": restart.map(|it| it.duplicates),
        "restart_lost": restart.map(|it| it.lost),
        "partitions_300_fraction": fraction(results, TopicLife::Used),
        "partitions_300_new_topic_fraction": fraction(results, TopicLife::New),
        "start_200_partitions_first_record_ms": start_time(results),
        "start_200_partitions_rss_mb": start_memory(results),
        "message_drain_ratio": message_ratio(results),
        "raw": results,
    })
}

/// Formats the results as a table for people.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: Option<f64>, digits: usize, unit: &str| {
        let value = value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.digits$} {unit}"));
        _ = writeln!(text, "{what:<58} {value:>18}");
    };
    for shape in SHAPES {
        line(&format!("limit, {shape}"), limit(results, shape), 0, "rows/s");
        line(&format!("Debezium's drain, {shape}"), throughput(results, Kind::Debezium, shape), 0, "rows/s");
        line(&format!("the relay's drain, {shape}"), throughput(results, Kind::Relay, shape), 0, "rows/s");
        line("  times Debezium's", throughput_ratio(results, shape), 1, "     ");
        line("  part of the limit", limit_fraction(results, shape), 2, "     ");
        line("  Debezium's CPU seconds over the relay's", cpu_ratio(results, shape), 1, "     ");
    }

    for (kind, rate) in [(Kind::Debezium, CALM), (Kind::Relay, CALM), (Kind::Relay, BUSY)] {
        let found = latency(results, kind, rate);
        let what = format!("{kind}, {} rows/s, from commit to readable", rate.rows_per_second);
        line(&format!("{what}, p50"), found.map(|it| it.p50_ms), 1, "ms    ");
        line(&format!("{what}, p99"), found.map(|it| it.p99_ms), 1, "ms    ");
    }

    line("Debezium's worker, resident after a drain", debezium_memory(results), 0, "MiB   ");
    line("the relay, most resident in a large drain", relay_memory(results), 1, "MiB   ");
    for kind in [Kind::Debezium, Kind::Relay] {
        let found = restart(results, kind);
        line(&format!("{kind}, kill -9 and restart, next record"), found.map(|it| it.first_record_ms), 0, "ms    ");
        line("  lost", found.map(|it| it.lost as f64), 0, "      ");
        line("  duplicates", found.map(|it| it.duplicates as f64), 0, "      ");
    }

    for life in [TopicLife::Used, TopicLife::New] {
        let (one, many) = (clustered(results, 1, life), clustered(results, partitions::MANY, life));
        line(&format!("the relay's drain on three brokers, {life}, 1 partition"), one, 0, "rows/s");
        line(&format!("  {} partitions", partitions::MANY), many, 0, "rows/s");
        line("  fraction", fraction(results, life), 2, "     ");
    }

    line("the relay's drain of rows with an UPDATE", rate(&results.business_rows), 0, "rows/s");
    line("  of messages with an UPDATE", rate(&results.business_messages), 0, "rows/s");
    line("  times that of rows", message_ratio(results), 2, "     ");
    line("the relay, start with 200 partitions, next record", start_time(results), 0, "ms    ");
    line("  most resident until then", start_memory(results), 1, "MiB   ");
    text
}

/// Returns the bars of the picture.
pub(crate) fn charts(results: &Results) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut chart = |title: String, unit: &'static str, bars: Vec<(String, Option<f64>)>| {
        let bars: Vec<_> =
            bars.into_iter().filter_map(|(label, value)| value.map(|value| Bar { label, value })).collect();
        if !bars.is_empty() {
            charts.push(Chart { title, unit, bars });
        }
    };

    for shape in SHAPES {
        let bars = vec![
            ("limit: one peek".to_owned(), limit(results, shape)),
            ("relay".to_owned(), throughput(results, Kind::Relay, shape)),
            ("Debezium".to_owned(), throughput(results, Kind::Debezium, shape)),
        ];
        chart(format!("Drain of {} rows, {shape}", results.rows), "rows/s", bars);
    }

    let mut times = Vec::new();
    for (kind, rate) in [(Kind::Relay, CALM), (Kind::Relay, BUSY), (Kind::Debezium, CALM)] {
        let found = latency(results, kind, rate);
        for (name, value) in [("p50", found.map(|it| it.p50_ms)), ("p99", found.map(|it| it.p99_ms))] {
            times.push((format!("{kind}, {} rows/s, {name}", rate.rows_per_second), value));
        }
    }

    chart("From commit to readable in Kafka".to_owned(), "ms", times);
    let memory = vec![("relay".to_owned(), relay_memory(results)), ("Debezium".to_owned(), debezium_memory(results))];
    chart("Resident memory".to_owned(), "MiB", memory);
    let next = [Kind::Relay, Kind::Debezium].map(|kind| {
        let found = restart(results, kind);
        let label = found.map_or_else(String::new, |it| format!("{kind} ({} duplicates)", it.duplicates));
        (label, found.map(|it| it.first_record_ms))
    });
    chart("From a restart after kill -9 to the next record".to_owned(), "ms", next.to_vec());
    charts
}

fn throughput(results: &Results, kind: Kind, shape: Shape) -> Option<f64> {
    let of_kind = |drain: &&Drain| drain.engine == kind && drain.shape == shape;
    let rates: Vec<_> = results.drains.iter().filter(of_kind).map(|drain| drain.rows_per_second).collect();
    median(&rates)
}

fn limit(results: &Results, shape: Shape) -> Option<f64> {
    let of_shape = results.limits.iter().filter(|peek| peek.shape == shape);
    median(&of_shape.map(|peek| peek.rows_per_second).collect::<Vec<_>>())
}

fn throughput_ratio(results: &Results, shape: Shape) -> Option<f64> {
    ratio(throughput(results, Kind::Relay, shape), throughput(results, Kind::Debezium, shape))
}

fn limit_fraction(results: &Results, shape: Shape) -> Option<f64> {
    ratio(throughput(results, Kind::Relay, shape), limit(results, shape))
}

/// Returns Debezium's CPU seconds over the relay's, of engine, PostgreSQL and broker together.
fn cpu_ratio(results: &Results, shape: Shape) -> Option<f64> {
    ratio(cpu_seconds(results, Kind::Debezium, shape), cpu_seconds(results, Kind::Relay, shape))
}

fn cpu_seconds(results: &Results, kind: Kind, shape: Shape) -> Option<f64> {
    let of_kind = results.drains.iter().filter(|drain| drain.engine == kind && drain.shape == shape);
    let totals: Vec<_> = of_kind.filter_map(|drain| drain.cpu_seconds.total()).collect();
    median(&totals)
}

fn latency(results: &Results, kind: Kind, rate: Rate) -> Option<&Latency> {
    results.latencies.iter().find(|it| it.engine == kind && it.wanted_rows_per_second == rate.rows_per_second)
}

fn restart(results: &Results, kind: Kind) -> Option<&Restart> {
    results.restarts.iter().find(|it| it.engine == kind)
}

fn relay_memory(results: &Results) -> Option<f64> {
    let drains = results.memory.iter().filter(|drain| drain.engine == Kind::Relay);
    drains.filter_map(|drain| drain.peak_resident_mb).max_by(f64::total_cmp)
}

fn debezium_memory(results: &Results) -> Option<f64> {
    let drains = results.drains.iter().chain(&results.memory).filter(|drain| drain.engine == Kind::Debezium);
    drains.filter_map(|drain| drain.resident_mb).max_by(f64::total_cmp)
}

/// Whether a topic had records before a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TopicLife {
    New,
    Used,
}

impl fmt::Display for TopicLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new topic",
            Self::Used => "topic with records",
        })
    }
}

/// Returns the rate with many partitions over the rate with one.
fn fraction(results: &Results, life: TopicLife) -> Option<f64> {
    ratio(clustered(results, partitions::MANY, life), clustered(results, 1, life))
}

fn clustered(results: &Results, partitions: i32, life: TopicLife) -> Option<f64> {
    let is_new = life == TopicLife::New;
    let of_partitions = results.clustered.iter();
    let of_partitions =
        of_partitions.filter(|drain| drain.partitions == partitions && (drain.records_before == 0) == is_new);
    median(&of_partitions.map(|drain| drain.rows_per_second).collect::<Vec<_>>())
}

fn message_ratio(results: &Results) -> Option<f64> {
    ratio(rate(&results.business_messages), rate(&results.business_rows))
}

fn rate(drains: &[Drain]) -> Option<f64> {
    median(&drains.iter().map(|drain| drain.rows_per_second).collect::<Vec<_>>())
}

fn start_time(results: &Results) -> Option<f64> {
    median(&results.starts.iter().map(|start| start.first_record_ms).collect::<Vec<_>>())
}

fn start_memory(results: &Results) -> Option<f64> {
    results.starts.iter().filter_map(|start| start.peak_resident_mb).max_by(f64::total_cmp)
}

fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some(of? / to?)
}
