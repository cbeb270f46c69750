use std::sync::Arc;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_net::{Backoff, ErrorChain};
use tokio::sync::mpsc;

use super::Shared;
use super::reader::{Chunk, Interrupted, Memory, read};
use crate::Error;
use crate::source::{Chosen, PartitionReader as _, RecordSource as _};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Reads a partition for as long as it is owned. If Kafka fails, the handlers of what was read continue, and a new
/// reader takes up at the next offset.
pub(super) struct Feed {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) topic_id: Option<Uuid>,
}

impl Feed {
    pub(super) async fn run(self, mut reader: Chosen, mut offset: i64, chunks: mpsc::Sender<Chunk>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(Interrupted { next, mut error }) =
            read(reader, self.topic.to_string(), self.partition, offset, self.memory(), chunks.clone()).await
        {
            if next > offset {
                backoff.reset();
            }
            offset = next;
            reader = loop {
                let retry_in = backoff.delay();
                tracing::warn!(
                    target: "outbox.consumer", topic = &*self.topic, partition = self.partition, offset,
                    error = %ErrorChain::new(&error), ?retry_in, "reading interrupted"
                );
                if chunks.send(Chunk::Interrupted(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(retry_in).await;
                match self.reopen(offset).await {
                    Ok(Reopened::Same(reader)) => break *reader,
                    Ok(Reopened::Recreated(chunk)) => {
                        // If nobody takes it, the partition is no longer owned.
                        _ = chunks.send(chunk).await;
                        return;
                    }
                    Err(e) => error = e,
                }
            };
        }
    }

    fn memory(&self) -> Memory {
        Memory::new(Arc::clone(&self.shared.memory), self.shared.options.max_memory)
    }

    async fn reopen(&self, offset: i64) -> Result<Reopened, Error> {
        let mut reader = self.shared.cluster.open(&self.topic, self.partition).await?;
        match (self.topic_id, reader.topic_id()) {
            (Some(known), Some(found)) if known != found => {
                Ok(Reopened::Recreated(Chunk::Recreated { offset, earliest: reader.earliest().await? }))
            }
            _ => Ok(Reopened::Same(reader.into())),
        }
    }
}

enum Reopened {
    Same(Box<Chosen>),
    /// The topic was deleted and created again.
    Recreated(Chunk),
}
