use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::PATIENCE;
use super::wire::{Fault, call, describe};
use crate::Error;

/// The aborted transactions of a partition. Brokers name them in every answer to a fetch, and rskafka keeps them to itself.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    brokers: Vec<String>,
    topic: TopicName,
    partition: i32,
    leader: Option<TcpStream>,
}

/// Those that rskafka speaks.
const METADATA_VERSION: i16 = 4;
const FETCH_VERSION: i16 = 4;
const READ_COMMITTED: i8 = 1;

impl AbortedTransactions {
    pub(super) fn of(brokers: Vec<String>, topic: &str, partition: i32) -> Self {
        let topic = TopicName(StrBytes::from_string(topic.to_owned()));
        Self { brokers, topic, partition, leader: None }
    }

    /// Where the first one begins that goes on from an offset, or from before it, to behind it. There has to be a record
    /// at the offset that a fetch has brought.
    pub(super) async fn around(&mut self, offset: i64) -> Result<Option<i64>, Error> {
        let doing = format!("tell the aborted transactions of topic {}, partition {}", &*self.topic.0, self.partition);
        match timeout(PATIENCE, self.ask(offset)).await {
            Ok(Ok(first)) => Ok(first),
            Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
            Err(elapsed) => Err(Error::kafka(format!("{doing} in time")).caused_by(elapsed)),
        }
    }

    async fn ask(&mut self, offset: i64) -> Result<Option<i64>, Fault> {
        let mut leader = match self.leader.take() {
            Some(leader) => leader,
            None => self.connect().await?,
        };
        loop {
            let answer: FetchResponse = call(&mut leader, ApiKey::Fetch, FETCH_VERSION, &self.fetch(offset)).await?;
            let Some(fetched) = answer.responses.first().and_then(|topic| topic.partitions.first()) else {
                // Over its quota a client is told nothing but when to come again.
                match u64::try_from(answer.throttle_time_ms) {
                    Ok(pause @ 1..) => sleep(Duration::from_millis(pause)).await,
                    _ => return Err("the answer lacks the partition".into()),
                }
                continue;
            };
            if fetched.error_code != 0 {
                return Err(format!("the broker answers with error code {}", fetched.error_code).into());
            }
            self.leader = Some(leader);
            let aborted = fetched.aborted_transactions.iter().flatten().map(|transaction| transaction.first_offset);
            return Ok(aborted.filter(|first| *first <= offset).min());
        }
    }

    /// One batch, as there is no smaller answer.
    fn fetch(&self, offset: i64) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(self.partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1);
        let topic = FetchTopic::default().with_topic(self.topic.clone()).with_partitions(vec![partition]);
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(1)
            .with_isolation_level(READ_COMMITTED)
            .with_topics(vec![topic])
    }

    async fn connect(&self) -> Result<TcpStream, Fault> {
        let mut failed: Fault = "no broker is known".into();
        for broker in &self.brokers {
            match self.leader_by(broker).await {
                Ok(leader) => return Ok(leader),
                Err(e) => failed = e,
            }
        }
        Err(failed)
    }

    async fn leader_by(&self, broker: &str) -> Result<TcpStream, Fault> {
        let mut stream = TcpStream::connect(broker).await?;
        let answer = describe(&mut stream, METADATA_VERSION, &self.topic).await?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let partition = partitions.find(|partition| partition.partition_index == self.partition);
        let leader = partition.and_then(|it| answer.brokers.iter().find(|broker| broker.node_id == it.leader_id));
        let leader = leader.ok_or("the partition has no leader")?;
        let stream = TcpStream::connect((&*leader.host, u16::try_from(leader.port)?)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
