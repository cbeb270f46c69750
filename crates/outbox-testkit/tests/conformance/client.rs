use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection that sends requests of any version.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), correlation_id: 0 }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        self.send(version, &request).await;
        self.receive::<R>(version).await.unwrap()
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.send_raw(R::KEY, version, R::header_version(version), &body).await;
    }

    pub(crate) async fn send_raw(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(text("conformance")));
        header.encode(&mut frame, header_version).unwrap();
        frame.extend_from_slice(body);
        self.stream.write_all(&i32::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut frame = self.receive_raw().await?;
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "{:?} {version}: {} bytes left", ApiKey::try_from(R::KEY), frame.len());
        Ok(response)
    }

    /// Returns the next frame, or why there is none.
    pub(crate) async fn receive_raw(&mut self) -> io::Result<Bytes> {
        let read = async {
            let length = self.stream.read_i32().await?;
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await?;
            Ok(Bytes::from(frame))
        };
        tokio::time::timeout(Duration::from_secs(300), read).await.expect("an answer or an end in time")
    }

    pub(crate) async fn assert_closed(&mut self) {
        let answer = self.receive_raw().await;
        assert!(answer.is_err(), "answered by {answer:?}");
    }
}
