use std::hint::black_box;
use std::time::{Duration, Instant};

use outbox_core::{Decoded, Pipeline, Record};
use serde::{Deserialize, Serialize};

use super::events::record;
use crate::Outcome;
use crate::percentile::median;

/// Records a second, on one core.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rates {
    /// From a record to an event with its payload as it came.
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
const COUNT: usize = 200_000;

pub(super) fn rates(rounds: u32) -> Outcome<Rates> {
    let pipeline = Pipeline::recommended();
    let records = (0..1_000).map(|n| record(&pipeline, n)).collect::<Outcome<Vec<_>>>()?;
    let (mut plain, mut typed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(rate(&pipeline, &records, COUNT, |event| {
            black_box(event);
            Ok(())
        })?);
        typed.push(rate(&pipeline, &records, COUNT, |event| {
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

fn rate(pipeline: &Pipeline, records: &[Record], count: usize, take: impl Fn(Decoded) -> Outcome<()>) -> Outcome<f64> {
    let mut spent = Duration::ZERO;
    for _ in 0..count.div_ceil(FETCH) {
        // Each as a client would have made it: all in memory of its own.
        let fetched: Vec<Record> = records.iter().cycle().take(FETCH).map(of_its_own).collect();
        let begun = Instant::now();
        for record in fetched {
            take(pipeline.decode(record)?)?;
        }
        spent += begun.elapsed();
    }
    Ok((count.div_ceil(FETCH) * FETCH) as f64 / spent.as_secs_f64())
}

fn of_its_own(record: &Record) -> Record {
    let own = |bytes: &outbox_core::bytes::Bytes| outbox_core::bytes::Bytes::from(bytes.to_vec());
    let mut copy = Record::new(record.topic.clone());
    copy.key = record.key.as_ref().map(own);
    copy.value = record.value.as_ref().map(own);
    copy.headers = record.headers.iter().map(|(name, value)| (name.clone(), value.as_ref().map(own))).collect();
    copy.timestamp = record.timestamp;
    copy
}
