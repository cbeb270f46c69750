use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use outbox_core::uuid::Uuid;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::wire::{Fault, call, describe};
use crate::Error;

/// Every broker answers this one.
const API_VERSIONS_VERSION: i16 = 0;
/// The first that tells topic ids (KIP-516, Kafka 2.8). rskafka asks for the fourth.
const METADATA_VERSION: i16 = 10;

/// What tells a topic from a later one of the same name; `None` where the broker has no topic ids.
pub(super) async fn topic_id(brokers: &[String], topic: &str) -> Result<Option<Uuid>, Error> {
    let doing = format!("tell the id of topic {topic}");
    match timeout(PATIENCE, ask(brokers, topic)).await {
        Ok(Ok(id)) => Ok(id),
        Ok(Err(e)) => Err(Error::kafka(doing).caused_by(e)),
        Err(elapsed) => Err(Error::kafka(format!("{doing} in time")).caused_by(elapsed)),
    }
}

async fn ask(brokers: &[String], topic: &str) -> Result<Option<Uuid>, Fault> {
    let mut failed: Fault = "no broker is known".into();
    for broker in brokers {
        match of(broker, topic).await {
            Ok(id) => return Ok(id),
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

async fn of(broker: &str, topic: &str) -> Result<Option<Uuid>, Fault> {
    let mut stream = TcpStream::connect(broker).await?;
    let request = ApiVersionsRequest::default();
    let known: ApiVersionsResponse = call(&mut stream, ApiKey::ApiVersions, API_VERSIONS_VERSION, &request).await?;
    let metadata = known.api_keys.iter().find(|api| api.api_key == ApiKey::Metadata as i16);
    if metadata.is_none_or(|metadata| metadata.max_version < METADATA_VERSION) {
        return Ok(None);
    }
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let answer = describe(&mut stream, METADATA_VERSION, &name).await?;
    let found = answer.topics.first().ok_or("the answer lacks the topic")?;
    match found.error_code {
        0 => Ok(Some(found.topic_id).filter(|id| !id.is_nil())),
        code => Err(format!("the broker answers with error code {code}").into()),
    }
}
