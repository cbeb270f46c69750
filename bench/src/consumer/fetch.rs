use std::hint::black_box;
use std::time::Instant;

use futures_util::future::try_join_all;
use outbox_core::{Decoded, Pipeline};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use rskafka::record::RecordAndOffset;
use serde::Serialize;
use tokio::sync::mpsc;

use super::events::{Stand, fetched};
use crate::percentile::median;
use crate::topic::within;
use crate::{Failure, Outcome};

/// Records a second by rskafka alone, and with each decoded into an event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fetch {
    pub(super) fraction: Option<f64>,
    raw: Vec<f64>,
    decoded: Vec<f64>,
}

/// As the consumer asks for.
const MOST_BYTES: i32 = 4 << 20;

pub(super) async fn compare(stand: &Stand, rounds: u32) -> Outcome<Fetch> {
    let (mut raw, mut decoded) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(rate(stand, |_, records| Ok(black_box(records).len())).await?);
        decoded.push(rate(stand, decode).await?);
    }
    let pairs: Vec<f64> = raw.iter().zip(&decoded).map(|(raw, decoded)| decoded / raw).collect();
    Ok(Fetch { fraction: median(&pairs), raw, decoded })
}

fn decode(pipeline: &Pipeline, records: Vec<RecordAndOffset>) -> Outcome<usize> {
    let count = records.len();
    for record in records {
        let Decoded::Event(event) = pipeline.decode(fetched("", record.record))? else {
            return Err("a record is no event".into());
        };
        black_box(event);
    }
    Ok(count)
}

type Take = fn(&Pipeline, Vec<RecordAndOffset>) -> Outcome<usize>;

/// The whole topic. As in the consumer, a task fetches while another works on what was fetched before.
async fn rate(stand: &Stand, take: Take) -> Outcome<f64> {
    let partitions = stand.topic.open().await?;
    let begun = Instant::now();
    let read = partitions.into_iter().map(|partition| async {
        let (sender, mut chunks) = mpsc::channel(1);
        let reader = tokio::spawn(read(partition, sender));
        let pipeline = stand.pipeline.clone();
        let taker = tokio::spawn(async move {
            let mut count = 0;
            while let Some(records) = chunks.recv().await {
                count += take(&pipeline, records)?;
            }
            Ok::<_, Failure>(count)
        });
        reader.await??;
        taker.await?
    });
    let count: usize = try_join_all(read).await?.into_iter().sum();
    if count as u64 != stand.events {
        return Err(format!("{count} records of {} were fetched", stand.events).into());
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
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
