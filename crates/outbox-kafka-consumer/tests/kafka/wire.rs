//! The protocol itself, for what rskafka cannot be asked to write.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, RequestHeader, ResponseHeader, TopicName, TransactionalId};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::env::ConsumerEnv;

/// One connection that sends any request.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn connect(brokers: &str) -> Self {
        Self(TcpStream::connect(brokers).await.unwrap())
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        let mut frame = BytesMut::new();
        let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
        header.encode(&mut frame, R::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        self.0.write_all(&i32::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        self.0.write_all(&frame).await.unwrap();
        let length = self.0.read_i32().await.unwrap();
        let mut answer = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut answer).await.unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        R::Response::decode(&mut answer, version).unwrap()
    }

    /// Produces one batch.
    pub(crate) async fn produce(
        &mut self,
        env: &ConsumerEnv,
        records: &[Record],
        transaction: Option<TransactionalId>,
    ) {
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut batch, records, &options).unwrap();
        let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.freeze()));
        let topic = TopicProduceData::default().with_name(topic_name(env)).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        let answer = self.call(9, request.with_transactional_id(transaction)).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
}

pub(crate) fn topic_name(env: &ConsumerEnv) -> TopicName {
    TopicName(StrBytes::from_string(env.topic().to_owned()))
}

pub(crate) fn record(header: Option<Bytes>) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: None,
        headers: IndexMap::from([(StrBytes::from_static_str("name"), header)]),
    }
}

/// Returns a record as the EventRouter would write it.
pub(crate) fn routed(sent: outbox_core::record::Record) -> Record {
    Record {
        timestamp: sent.timestamp.unwrap(),
        key: sent.key,
        value: sent.value,
        headers: sent.headers.into_iter().map(|(name, value)| (StrBytes::from_string(name), value)).collect(),
        ..record(None)
    }
}
