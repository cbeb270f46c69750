use std::hint::black_box;
use std::time::{Duration, Instant};

use outbox_core::Pipeline;
use outbox_core::bytes::Bytes;
use outbox_core::record::{DecodeHints, Decoded};
use outbox_kafka::{BatchBuilder, Compression, Producer, RecordBody};
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
    /// From the bytes of a batch to an event with its payload as it came, by the native reader; all is freed again.
    pub(super) native: f64,
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
    let batch = batch(&pipeline)?;
    let (mut plain, mut typed, mut native) = (Vec::new(), Vec::new(), Vec::new());

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
        native.push(native_rate(&pipeline, &topic, &batch)?);
    }

    let [plain, typed, native] = [plain, typed, native].map(|rates| median(&rates).unwrap_or_default());
    Ok(Rates { plain, typed, native })
}

/// Returns a batch of what one fetch brings, as a producer sends it.
fn batch(pipeline: &Pipeline) -> Outcome<Bytes> {
    let mut builder = BatchBuilder::new(Compression::None, 1 << 20);
    for n in 0..FETCH as u64 {
        let record = record(pipeline, n)?;
        let body = RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers);
        builder.append(record.timestamp.unwrap_or_default(), &body);
    }
    Ok(builder.finish(Producer::NONE)?.ok_or("no record is in the batch")?)
}

fn native_rate(pipeline: &Pipeline, topic: &str, batch: &Bytes) -> Outcome<f64> {
    let (mut spent, mut hints) = (Duration::ZERO, DecodeHints::default());
    for _ in 0..COUNT.div_ceil(FETCH) {
        // In separate memory, as an answer is.
        let fetched = Bytes::from(batch.to_vec());
        let begun = Instant::now();
        for record in outbox_kafka::Record::read_batches(fetched)? {
            black_box(measured::decode_native(pipeline, topic, &mut hints, record)?);
        }
        spent += begun.elapsed();
    }
    Ok((COUNT.div_ceil(FETCH) * FETCH) as f64 / spent.as_secs_f64())
}

/// The records of one fetch.
const FETCH: usize = 2_000;

fn rate(pipeline: &Pipeline, topic: &str, records: &[Record], take: fn(Decoded<()>) -> Outcome<()>) -> Outcome<f64> {
    let (mut spent, mut hints) = (Duration::ZERO, DecodeHints::default());
    for _ in 0..COUNT.div_ceil(FETCH) {
        // Each as rskafka makes it: every name and value in its own memory.
        let fetched: Vec<Record> = records.iter().cycle().take(FETCH).cloned().collect();
        let begun = Instant::now();
        for record in fetched {
            take(measured::decode(pipeline, topic, &mut hints, record)?)?;
        }
        spent += begun.elapsed();
    }
    Ok((COUNT.div_ceil(FETCH) * FETCH) as f64 / spent.as_secs_f64())
}
