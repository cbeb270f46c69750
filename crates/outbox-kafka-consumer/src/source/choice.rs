use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outbox_core::uuid::Uuid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Fetched, PartitionReader, RecordSource};
use crate::brokers::Brokers;
use crate::{Error, Reader, kafka, native};

/// The source that the builder's user has chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    reader: Reader,
    brokers: Brokers,
    rskafka: kafka::Cluster,
    native: native::Source,
    /// A permit for each partition that [`Reader::Auto`] reads by rskafka.
    auto: Arc<Semaphore>,
}

/// The number of partitions of a process that [`Reader::Auto`] reads by rskafka at a time, which has a connection and
/// fetches for each of them.
const MOST_BY_RSKAFKA: usize = 16;

impl Choice {
    /// Creates a source that fetches into about this much memory, in bytes.
    pub fn new(reader: Reader, brokers: &Brokers, memory: u32) -> Self {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let rskafka = kafka::Cluster::new(brokers.clone(), memory / MOST_BY_RSKAFKA);
        let native = native::Source::new(brokers.clone(), memory);
        Self { reader, brokers: brokers.clone(), rskafka, native, auto: Arc::new(Semaphore::new(MOST_BY_RSKAFKA)) }
    }

    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }
}

impl RecordSource for Choice {
    type Reader = Chosen;

    async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        self.brokers.partitions(topics).await
    }

    async fn open(&self, topic: &str, partition: i32) -> Result<Chosen, Error> {
        Ok(match self.reader {
            Reader::Native => Chosen::Native(self.native.open(topic, partition).await?),
            Reader::Rskafka => Chosen::Rskafka(self.rskafka.open(topic, partition).await?),
            Reader::Auto => match Arc::clone(&self.auto).try_acquire_owned() {
                Ok(permit) => Chosen::Auto(Box::new(Auto {
                    reader: self.rskafka.open(topic, partition).await?,
                    native: self.native.clone(),
                    topic: topic.to_owned(),
                    partition,
                    has_producer_time: false,
                    _permit: permit,
                })),
                Err(_) => Chosen::Native(self.native.open(topic, partition).await?),
            },
        })
    }
}

/// A partition that one of the readers reads.
#[derive(Debug)]
pub enum Chosen {
    Auto(Box<Auto>),
    Rskafka(kafka::Reader),
    Native(native::Reader),
}

/// A partition that rskafka reads as long as it can.
#[derive(Debug)]
pub struct Auto {
    reader: kafka::Reader,
    native: native::Source,
    topic: String,
    partition: i32,
    /// Whether the first batch was checked: its timestamps are the producer's.
    has_producer_time: bool,
    _permit: OwnedSemaphorePermit,
}

impl Auto {
    /// Fetches by rskafka; `None` if the native reader has to read from this offset on.
    async fn fetch(&mut self, offset: i64) -> Result<Option<Fetched>, Error> {
        let (reason, cause) = match self.reader.fetch(offset).await? {
            // rskafka delivers the records before it first.
            Fetched::Unreadable { cause, .. } => ("unreadable", Some(cause)),
            Fetched::Records { records, next, end } if !self.has_producer_time && !records.is_empty() => {
                self.has_producer_time = !self.native.has_broker_time(&self.topic, self.partition, offset).await?;
                if self.has_producer_time {
                    return Ok(Some(Fetched::Records { records, next, end }));
                }
                ("LogAppendTime", None)
            }
            fetched => return Ok(Some(fetched)),
        };
        let error = cause.as_ref().map(|cause| outbox_net::ErrorChain::new(&**cause).to_string());
        tracing::info!(
            target: "outbox.consumer", topic = self.topic, partition = self.partition, offset, reason, error,
            "native reader continues the partition"
        );

        metrics::counter!("outbox_consumer_native_reader_total", "topic" => self.topic.clone(), "reason" => reason)
            .increment(1);
        Ok(None)
    }

    async fn native(&self) -> Result<native::Reader, Error> {
        let opened = self.native.open(&self.topic, self.partition).await?;
        if opened.topic_id() != self.reader.topic_id() {
            return Err(Error::kafka("read on in the same topic: it was re-created"));
        }
        Ok(opened)
    }
}

impl PartitionReader for Chosen {
    fn topic_id(&self) -> Option<Uuid> {
        match self {
            Self::Auto(auto) => auto.reader.topic_id(),
            Self::Rskafka(reader) => reader.topic_id(),
            Self::Native(reader) => reader.topic_id(),
        }
    }

    async fn earliest(&mut self) -> Result<i64, Error> {
        match self {
            Self::Auto(auto) => auto.reader.earliest().await,
            Self::Rskafka(reader) => reader.earliest().await,
            Self::Native(reader) => reader.earliest().await,
        }
    }

    async fn end(&mut self) -> Result<i64, Error> {
        match self {
            Self::Auto(auto) => auto.reader.end().await,
            Self::Rskafka(reader) => reader.end().await,
            Self::Native(reader) => reader.end().await,
        }
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let Self::Auto(auto) = self else {
            return match self {
                Self::Rskafka(reader) => reader.fetch(offset).await,
                Self::Native(reader) => reader.fetch(offset).await,
                Self::Auto(_) => Err(Error::kafka("choose a reader")),
            };
        };
        if let Some(fetched) = auto.fetch(offset).await? {
            return Ok(fetched);
        }

        let mut native = auto.native().await?;
        let fetched = native.fetch(offset).await;
        *self = Self::Native(native);
        fetched
    }
}
