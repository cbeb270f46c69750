use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion, Request, StrBytes};

/// Longer than a broker waits for its controller.
const PATIENCE: Duration = Duration::from_secs(70);
const CLIENT: &str = "xtask";
/// The longest answer in bytes; a longer one is malformed.
const LONGEST: usize = 64 << 20;

/// A connection without TLS and login to a broker on this machine.
#[derive(Debug)]
pub(crate) struct KafkaConnection {
    stream: TcpStream,
}

impl KafkaConnection {
    /// Connects to a port on 127.0.0.1; each read and write may take as long as `patience`.
    pub(crate) fn open(port: u16, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Connects with the patience that requests need which brokers pass on to their controller.
    pub(crate) fn for_administration(port: u16) -> io::Result<Self> {
        Self::open(port, PATIENCE)
    }

    /// Sends a request in a version that the broker must know, and waits for the answer.
    pub(crate) fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT)));
        let mut frame = BytesMut::zeroed(4);
        header.encode(&mut frame, R::header_version(version)).map_err(invalid)?;
        request.encode(&mut frame, version).map_err(invalid)?;
        let length = u32::try_from(frame.len() - 4).map_err(invalid)?;
        if let Some(start) = frame.first_chunk_mut() {
            *start = length.to_be_bytes();
        }
        self.stream.write_all(&frame)?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= LONGEST);
        let mut answer = vec![0; length.ok_or_else(|| invalid("the answer is not one of Kafka's"))?];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(invalid)?;
        R::Response::decode(&mut answer, version).map_err(invalid)
    }
}

/// The version in which [`metadata_of`] is sent.
pub(crate) const METADATA: i16 = 12;

/// Asks for the brokers and for these topics.
pub(crate) fn metadata_of(topics: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let topics = topics.iter().map(topic).collect();
    MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(false)
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName::from(StrBytes::from_string(name.to_owned()))
}

fn invalid(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}
