//! Entry points for fuzzing.

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeConfigsRequest, FetchRequest, FindCoordinatorRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, ProduceRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest,
};

use crate::api::{self, Api};

/// Decodes bytes as the answer to a request in one of the versions that this client speaks, both chosen by number.
pub fn decode_answer(request: u8, version: u8, answer: &[u8]) {
    const DECODERS: [fn(u8, &[u8]); 12] = [
        decode::<ApiVersionsRequest>,
        decode::<MetadataRequest>,
        decode::<CreateTopicsRequest>,
        decode::<DescribeConfigsRequest>,
        decode::<InitProducerIdRequest>,
        decode::<ProduceRequest>,
        decode::<FetchRequest>,
        decode::<ListOffsetsRequest>,
        decode::<FindCoordinatorRequest>,
        decode::<OffsetCommitRequest>,
        decode::<SaslHandshakeRequest>,
        decode::<SaslAuthenticateRequest>,
    ];
    if let Some(decode) = DECODERS.get(usize::from(request) % DECODERS.len()) {
        decode(version, answer);
    }
}

fn decode<A: Api>(version: u8, answer: &[u8]) {
    let mut versions = A::VERSIONS;
    let count = A::VERSIONS.count();
    if let Some(version) = versions.nth(usize::from(version) % count) {
        drop(api::decode::<A>(Bytes::copy_from_slice(answer), version));
    }
}
