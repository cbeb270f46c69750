use std::hint::black_box;
use std::time::Instant;

use futures_util::future::try_join_all;
use outbox_core::record::Decoded;
use outbox_kafka_consumer::{Reader, measured};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use rskafka::record::RecordAndOffset;
use serde::Serialize;
use tokio::sync::mpsc;

use super::events::FullTopic;
use crate::percentile::median;
use crate::topic::within;
use crate::{Failure, Outcome};

/// Records a second by rskafka alone, and with each decoded into an event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fetch {
    pub(super) fraction: Option<f64>,
    /// The same with the native reader.
    pub(super) native_fraction: Option<f64>,
    raw: Vec<f64>,
    decoded: Vec<f64>,
    native: Vec<f64>,
}

/// The amount that the consumer asks for.
const MOST_BYTES: i32 = 4 << 20;

pub(super) async fn compare(full: &FullTopic, rounds: u32) -> Outcome<Fetch> {
    let (mut raw, mut decoded, mut native) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(raw_rate(full).await?);
        native.push(decoded_rate(full, Reader::Native).await?);
        decoded.push(decoded_rate(full, Reader::Auto).await?);
    }
    let over_raw = |rates: &[f64]| {
        let pairs: Vec<f64> = raw.iter().zip(rates).map(|(raw, rate)| rate / raw).collect();
        median(&pairs)
    };
    let (fraction, native_fraction) = (over_raw(&decoded), over_raw(&native));
    Ok(Fetch { fraction, native_fraction, raw, decoded, native })
}

/// Reads the whole topic by one of the consumer's readers. Each partition's records are checked to be all there, in
/// order.
async fn decoded_rate(full: &FullTopic, reader: Reader) -> Outcome<f64> {
    let topic = full.topic.name();
    let source = measured::Source::new(vec![full.env.brokers().to_owned()], reader);
    let partitions = try_join_all((0..full.topic.partitions()).map(|number| source.open(topic, number))).await?;
    let begun = Instant::now();
    let read = partitions.into_iter().map(|partition| {
        let pipeline = full.env.pipeline().clone();
        tokio::spawn(async move {
            let mut events = 0;
            let count = partition.read(&pipeline, |decoded| events += usize::from(is_event(decoded))).await?;
            if events == count { Ok(count) } else { Err(Failure::from("a record is no event")) }
        })
    });
    let counts = try_join_all(read).await?.into_iter().collect::<Outcome<Vec<usize>>>()?;
    per_second(full, counts, begun)
}

fn is_event(decoded: Decoded<()>) -> bool {
    matches!(black_box(decoded), Decoded::Event(_))
}

/// Reads the whole topic by rskafka alone. As in the consumer, a task fetches while another takes what was fetched
/// before.
async fn raw_rate(full: &FullTopic) -> Outcome<f64> {
    let partitions = full.topic.partition_clients().await?;
    let begun = Instant::now();
    let read = partitions.into_iter().map(|partition| async {
        let (sender, mut chunks) = mpsc::channel(1);
        let reader = tokio::spawn(read(partition, sender));
        let taker = tokio::spawn(async move {
            let mut count = 0;
            while let Some(records) = chunks.recv().await {
                count += black_box(records).len();
            }
            count
        });
        reader.await??;
        Ok::<_, Failure>(taker.await?)
    });
    per_second(full, try_join_all(read).await?, begun)
}

fn per_second(full: &FullTopic, counts: Vec<usize>, begun: Instant) -> Outcome<f64> {
    let (count, took) = (counts.into_iter().sum::<usize>(), begun.elapsed());
    if count as u64 != full.events {
        return Err(format!("{count} records of {} were fetched", full.events).into());
    }
    Ok(count as f64 / took.as_secs_f64())
}

async fn read(partition: PartitionClient, sender: mpsc::Sender<Vec<RecordAndOffset>>) -> Outcome<()> {
    let end = within("ask for a topic's end", partition.get_offset(OffsetAt::Latest)).await?;
    let mut next = 0;
    while next < end {
        let (mut records, _) = within("read a topic", partition.fetch_records(next, 1..MOST_BYTES, 500)).await?;
        records.retain(|record| record.offset >= next);
        next = records.last().map_or(next, |last| last.offset + 1);
        if sender.send(records).await.is_err() {
            break;
        }
    }
    Ok(())
}
