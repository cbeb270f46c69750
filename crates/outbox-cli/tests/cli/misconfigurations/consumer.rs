//! Consumers that stand still: paused, stopped at a record, or behind.

use outbox_test_support::to_rskafka;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;

use crate::consumer::Stock;
use crate::doctor::finds;
use crate::fixture::TempFile;

#[tokio::test]
async fn a_paused_partition_a_lag_and_a_record_that_nobody_can_read_are_found() {
    let mut stock = Stock::new().await;
    stock.repair().await;
    let file = TempFile::config(&stock.env, "-stuck", stock.env.config());
    let arguments = ["--connector-config", file.path(), "--group", "stock"];
    stock.start();
    stock.place(1).await;
    stock.effects(1).await;
    stock.run(&["consumer", "pause", "stock"]).await.text(0);

    let pipeline = stock.env.pipeline();
    let event = outbox_core::OutboxEvent::from_event(&crate::consumer::Placed { order: 2 }).build().unwrap();
    let record = to_rskafka(pipeline.encode(&pipeline.row(&event).unwrap()).unwrap());
    // Without its header id, it is no event.
    let unreadable = Record { headers: [].into(), ..record.clone() };
    let topic = stock.env.kafka();
    let topic = topic.partition_client(stock.env.topic(), 0, UnknownTopicHandling::Retry).await.unwrap();
    topic.produce(vec![unreadable], Compression::NoCompression).await.unwrap();
    for _ in 0..10 {
        topic.produce(vec![record.clone(); 1_000], Compression::NoCompression).await.unwrap();
    }

    for text in ["1 partitions are paused -> outbox consumer resume stock", "10001 records are not read"] {
        finds(&stock.env, &arguments, text).await;
    }
    stock.run(&["consumer", "resume", "stock"]).await.text(0);
    finds(&stock.env, &arguments, &format!("group stock: topic {}, partition 0: ", stock.env.topic())).await;
    stock.end().await.unwrap_err();
}
