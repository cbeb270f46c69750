use std::sync::Arc;
use std::time::Duration;

use outbox_core::{Decoded, Record};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::backoff::Backoff;
use crate::consumer::Shared;
use crate::error::Chain;
use crate::handler::Failure;
use crate::kafka::{Fetched, PartitionReader};
use crate::received::Place;

/// Reads one partition and handles its records one after the other.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    topic: Arc<str>,
    partition: i32,
}

/// The position as this worker knows it.
struct Cursor {
    /// As it stands in the store.
    stored: i64,
    /// What is read next: ahead of `stored` where records needed no handler.
    next: i64,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, topic: &str, partition: i32) -> Self {
        Self { shared, topic: topic.into(), partition }
    }

    /// Works until it is told to stop, or at an error that waiting does not mend.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let mut backoff = Backoff::up_to(Duration::from_secs(30));
        loop {
            match self.read(&stop, &mut backoff).await {
                Ok(()) => return Ok(()),
                Err(e) if !e.is_transient() => return Err(e),
                Err(e) => {
                    let pause = backoff.delay();
                    tracing::warn!(
                        target: "outbox.consumer", topic = &*self.topic, partition = self.partition,
                        error = %Chain(&e), retry_in = ?pause, "the partition waits"
                    );
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// Reads from the stored position on, over one connection to the broker.
    async fn read(&self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<(), Error> {
        let opened = async {
            let reader = self.shared.cluster.reader(&self.topic, self.partition).await?;
            let stored = self.stored_position(&reader).await?;
            Ok((reader, Cursor { stored, next: stored }))
        };
        let (mut reader, mut cursor) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = opened => opened?,
        };
        loop {
            let fetched = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                fetched = reader.fetch(cursor.next) => fetched?,
            };
            match fetched {
                Fetched::Records(records) => {
                    for (offset, record) in records {
                        if stop.is_cancelled() {
                            return Ok(());
                        }
                        self.take(&mut cursor, offset, record).await?;
                        backoff.reset();
                    }
                    self.store_skipped(&mut cursor).await?;
                }
                Fetched::Hollow => cursor.next += 1,
                Fetched::OutOfRange { earliest, end } => {
                    let reason =
                        format!("this is where the group reads next, but the topic holds {earliest} to before {end}");
                    return Err(Error::record(&self.topic, self.partition, cursor.next, reason));
                }
                Fetched::Unreadable(e) => {
                    let reason = "at this offset or soon after it is a record that the client library cannot read \
                                  (a transaction's marker, or a header with a null value)";
                    return Err(Error::record(&self.topic, self.partition, cursor.next, reason).caused_by(e));
                }
            }
        }
    }

    async fn stored_position(&self, reader: &PartitionReader) -> Result<i64, Error> {
        let positions = &self.shared.positions;
        if let Some(offset) = positions.read(&self.topic, self.partition).await? {
            return Ok(offset);
        }
        let earliest = reader.earliest().await?;
        positions.begin(&self.topic, self.partition, earliest).await?;
        let stored = positions.read(&self.topic, self.partition).await?;
        Ok(stored.unwrap_or(earliest))
    }

    async fn take(&self, cursor: &mut Cursor, offset: i64, record: Record) -> Result<(), Error> {
        let undecodable = |reason: &str, e: outbox_core::Error| {
            Error::record(&self.topic, self.partition, offset, reason).caused_by(e)
        };
        let decoded =
            self.shared.pipeline.decode(record).map_err(|e| undecodable("the record is not of this pipeline", e))?;
        let event = match decoded {
            Decoded::Event(event) => *event,
            _ => {
                cursor.next = offset + 1;
                return Ok(());
            }
        };
        let Some(handler) = self.shared.registry.handler(&self.topic, &event) else {
            tracing::debug!(target: "outbox.consumer", id = %event.id, event_type = ?event.event_type, "no handler");
            cursor.next = offset + 1;
            return Ok(());
        };
        let place = Place { topic: Arc::clone(&self.topic), partition: self.partition, offset };
        let positions = &self.shared.positions;
        let mut client = positions.pool.get().await.map_err(|e| Error::store("give a connection", e))?;
        let tx = client.transaction().await.map_err(|e| Error::store("begin a transaction", e))?;
        let id = event.id;
        match handler.handle(&tx, event, place.clone()).await {
            Ok(()) => {}
            Err(Failure::Payload(e)) => return Err(undecodable("the payload is not what the handler's event says", e)),
            Err(Failure::Handler(e)) => return Err(Error::handler(id, &place, e)),
        }
        positions.advance(&tx, &self.topic, self.partition, cursor.stored, offset + 1).await?;
        tx.commit().await.map_err(|e| Error::store("commit a handler's transaction", e))?;
        *cursor = Cursor { stored: offset + 1, next: offset + 1 };
        Ok(())
    }

    /// Records without a handler move the position once for each fetch.
    async fn store_skipped(&self, cursor: &mut Cursor) -> Result<(), Error> {
        if cursor.next == cursor.stored {
            return Ok(());
        }
        let positions = &self.shared.positions;
        let mut client = positions.pool.get().await.map_err(|e| Error::store("give a connection", e))?;
        let tx = client.transaction().await.map_err(|e| Error::store("begin a transaction", e))?;
        positions.advance(&tx, &self.topic, self.partition, cursor.stored, cursor.next).await?;
        tx.commit().await.map_err(|e| Error::store("commit a position", e))?;
        cursor.stored = cursor.next;
        Ok(())
    }
}
