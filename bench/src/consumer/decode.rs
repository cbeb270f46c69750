use std::hint::black_box;
use std::time::{Duration, Instant};

use outbox_core::{Decoded, Pipeline};
use outbox_kafka_consumer::measured;
use outbox_test_support::to_rskafka;
use rskafka::record::Record;
use serde::{Deserialize, Serialize};

use super::events::record;
use crate::percentile::median;
use crate::{Outcome, rows};

/// Records a second, on one core.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rates {
    /// From a record as rskafka has allocated it to an event with its payload as it came; both are freed again.
    pub(super) plain: f64,
    /// And its payload read as JSON.
    pub(super) typed: f64,
}

#[derive(Debug, Deserialize)]
struct OrderPlaced {
    n: u64,
    customer: String,
    note: String,
}

/// Records of a round.
const COUNT: usize = 1_000_000;

pub(super) fn rates(rounds: u32) -> Outcome<Rates> {
    let pipeline = Pipeline::recommended();
    let topic = pipeline.topic(&rows::AGGREGATE_TYPE.parse()?)?;
    let records = (0..1_000).map(|n| Ok(to_rskafka(record(&pipeline, n)?))).collect::<Outcome<Vec<_>>>()?;
    let rate = |take: fn(Decoded<()>) -> Outcome<()>| rate(&pipeline, &topic, &records, take);
    let (mut plain, mut typed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(rate(|event| {
            black_box(event);
            Ok(())
        })?);
        typed.push(rate(|event| {
            let Decoded::Event(event) = event else { return Err("no event".into()) };
            let order: OrderPlaced = event.payload.json()?;
            black_box((order.n, order.customer, order.note));
            Ok(())
        })?);
    }
    Ok(Rates { plain: median(&plain).unwrap_or_default(), typed: median(&typed).unwrap_or_default() })
}

/// What one fetch brings.
const FETCH: usize = 2_000;

fn rate(pipeline: &Pipeline, topic: &str, records: &[Record], take: fn(Decoded<()>) -> Outcome<()>) -> Outcome<f64> {
    let mut spent = Duration::ZERO;
    for _ in 0..COUNT.div_ceil(FETCH) {
        // Each as rskafka makes it: every name and value in memory of its own.
        let fetched: Vec<Record> = records.iter().cycle().take(FETCH).cloned().collect();
        let begun = Instant::now();
        for record in fetched {
            take(measured::decode(pipeline, topic, record)?)?;
        }
        spent += begun.elapsed();
    }
    Ok((COUNT.div_ceil(FETCH) * FETCH) as f64 / spent.as_secs_f64())
}
