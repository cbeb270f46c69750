use std::sync::Arc;
use std::time::Duration;

use outbox_core::{OutboxEvent, Pipeline};
use outbox_kafka_consumer::outbox_kafka::{
    BatchBuilder, Cluster, Compression, Produced, Producer, RecordBody, Settings, ToProduce, Topic,
};

/// The largest number of records in a batch.
const BATCH: usize = 200;
/// The pause between two attempts to write a batch.
const BACKOFF: Duration = Duration::from_millis(100);

/// Writes events into the partitions of a topic, in their order, whatever happens to the brokers. A batch whose answer
/// is lost is written again, and is there twice then.
pub(super) struct Writer {
    cluster: Cluster,
    topic: Arc<Topic>,
    pipeline: Pipeline,
}

impl Writer {
    pub(super) async fn new(brokers: &str, topic: &str, pipeline: Pipeline) -> Self {
        let cluster = Cluster::new(Settings::new(brokers.split(',')));
        let topic = cluster.refreshed(topic).await.unwrap().unwrap();
        Self { cluster, topic, pipeline }
    }

    pub(super) async fn write(&self, partition: i32, events: &[OutboxEvent]) {
        for events in events.chunks(BATCH) {
            let mut builder = BatchBuilder::new(Compression::None, 64 << 10);
            for event in events {
                let record = self.pipeline.encode(&self.pipeline.row(event).unwrap()).unwrap();
                let body = RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers);
                builder.append(record.timestamp.unwrap_or_default(), &body);
            }
            let batch = builder.finish(Producer::NONE).unwrap().unwrap();
            self.append(ToProduce { topic: Arc::clone(&self.topic), partition, batch }).await;
        }
    }

    async fn append(&self, batch: ToProduce) {
        loop {
            match self.cluster.produce(batch.clone()).await {
                Produced::Appended { .. } | Produced::Duplicate => return,
                Produced::Retriable(_) | Produced::Unknown(_) => tokio::time::sleep(BACKOFF).await,
                other => panic!("the events are not accepted: {other:?}"),
            }
        }
    }
}
