use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use outbox_core::record::{DecodeHints, Decoded};
use outbox_kafka_consumer::measured;
use rskafka::client::partition::PartitionClient;
use tokio::task::JoinSet;

use super::events::{FullTopic, OrderPlaced};
use crate::Outcome;
use crate::topic::within;

/// So long it is let run: it is slow, and steady.
const TIME: Duration = Duration::from_secs(5);

/// Measures what one writes at first: for each partition a loop with a transaction for each event, which looks whether
/// the event is new, has the effect, and moves the position.
pub(super) async fn rate(full: &FullTopic, effect: &'static str) -> Outcome<f64> {
    let partitions = full.topic.partition_clients().await?;
    let pool = full.env.pool_of(partitions.len());
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for (number, partition) in (0..).zip(partitions) {
        loops.spawn(consume(pool.clone(), partition, number, full.env.pipeline().clone(), effect, begun + TIME));
    }
    let mut count = 0;
    while let Some(ended) = loops.join_next().await {
        count += ended??;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

async fn consume(
    pool: Pool,
    partition: PartitionClient,
    number: i32,
    pipeline: outbox_core::Pipeline,
    effect: &'static str,
    deadline: Instant,
) -> Outcome<u32> {
    let mut client = pool.get().await?;
    client.execute("INSERT INTO place VALUES ($1, 0)", &[&number]).await?;

    let (mut next, mut count, mut hints) = (0, 0, DecodeHints::default());
    while Instant::now() < deadline {
        let (records, _) = within("read a topic", partition.fetch_records(next, 1..1_000_000, 500)).await?;
        if records.is_empty() {
            break;
        }

        let from = next;
        for record in records.into_iter().filter(|record| record.offset >= from) {
            if Instant::now() > deadline {
                break;
            }

            next = record.offset + 1;
            let Decoded::Event(event) = measured::decode(&pipeline, partition.topic(), &mut hints, record.record)?
            else {
                continue;
            };
            let order: OrderPlaced = event.payload.json()?;
            let tx = client.transaction().await?;
            let seen = tx.prepare_cached("INSERT INTO seen VALUES ($1) ON CONFLICT DO NOTHING").await?;
            if tx.execute(&seen, &[&event.id]).await? == 1 {
                let effect = tx.prepare_cached(effect).await?;
                tx.execute(&effect, &[&event.aggregate_id.as_deref(), &order.n]).await?;
            }

            let place = tx.prepare_cached("UPDATE place SET next_offset = $2 WHERE partition = $1").await?;
            tx.execute(&place, &[&number, &next]).await?;
            tx.commit().await?;
            count += 1;
        }
    }
    Ok(count)
}
