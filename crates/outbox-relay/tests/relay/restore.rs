use std::pin::pin;

use futures_util::{SinkExt as _, StreamExt as _};
use outbox_core::bytes::Bytes;
use outbox_pg::tokio_postgres::Client;
use outbox_test_support::TestEnv;
use outbox_testkit::Postgres;

use crate::fixture::RelayEnv;

/// The rows come to a new cluster as a dump has them, after its slot was created: the WAL holds all of them again,
/// under another system identifier.
#[tokio::test]
async fn a_dump_that_is_restored_in_another_cluster_repeats_no_event() {
    let source = RelayEnv::new(2).await;
    let relay = source.start();
    source.enqueue_each(10, 0..300).await;
    source.all_arrived_once_and_in_order().await;
    relay.stop().await;
    // These are in the dump, and not in Kafka.
    source.enqueue_each(10, 300..320).await;

    let cluster = Postgres::start().await.unwrap();
    let target = RelayEnv::at(TestEnv::builder().postgres(cluster.url()).kafka(), 2).await;
    restore(&source.client().await, &target.client().await).await;
    let config = source.config.clone().with_database_url(target.url()).unwrap().with("slot.name", target.name());
    let target = RelayEnv { config, topic: source.topic.clone(), ..target };

    let relay = target.start();
    target.all_arrived_once_and_in_order().await;
    assert!(relay.status.prometheus_text().contains("outbox_relay_rows_skipped_total 300\n"));
    target.enqueue_each(10, 320..340).await;
    target.all_arrived_once_and_in_order().await;
    assert_eq!(target.written().await.len(), 340);
    relay.stop().await;
}

/// Copies the outbox as `pg_dump` and `psql` do.
async fn restore(from: &Client, to: &Client) {
    let mut rows = pin!(from.copy_out("COPY outbox.outbox_message TO STDOUT").await.unwrap());
    let mut sink = pin!(to.copy_in::<_, Bytes>("COPY outbox.outbox_message FROM STDIN").await.unwrap());
    while let Some(chunk) = rows.next().await {
        sink.send(chunk.unwrap()).await.unwrap();
    }
    sink.finish().await.unwrap();
}
