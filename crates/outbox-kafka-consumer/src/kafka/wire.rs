//! One request and its answer, where rskafka does not ask or keeps the answer to itself.

use std::error::Error as StdError;

use bytes::BytesMut;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) type Fault = Box<dyn StdError + Send + Sync>;

/// The largest answer is one batch, which no broker takes this large.
const MAX_ANSWER: usize = 256 << 20;

/// What a broker knows of a topic; asking makes none.
pub(super) async fn describe(
    stream: &mut TcpStream,
    version: i16,
    topic: &TopicName,
) -> Result<MetadataResponse, Fault> {
    let topic = MetadataRequestTopic::default().with_name(Some(topic.clone()));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    call(stream, ApiKey::Metadata, version, &request).await
}

pub(super) async fn call<Q, A>(stream: &mut TcpStream, key: ApiKey, version: i16, request: &Q) -> Result<A, Fault>
where
    Q: Encodable + HeaderVersion,
    A: Decodable + HeaderVersion,
{
    let mut frame = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    let header = header.with_client_id(Some(StrBytes::from_static_str(super::CLIENT_ID)));
    header.encode(&mut frame, Q::header_version(version))?;
    request.encode(&mut frame, version)?;
    stream.write_all(&[&u32::try_from(frame.len())?.to_be_bytes()[..], &frame].concat()).await?;
    let length = usize::try_from(stream.read_i32().await?).ok().filter(|length| *length <= MAX_ANSWER);
    let length = length.ok_or("the answer's length is out of range")?;
    let mut answer = BytesMut::with_capacity(length);
    let mut stream = stream.take(length as u64);
    while answer.len() < length {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the broker has closed the connection".into());
        }
    }
    let mut answer = answer.freeze();
    ResponseHeader::decode(&mut answer, A::header_version(version))?;
    Ok(A::decode(&mut answer, version)?)
}
