//! The requests that the relay makes, with the versions of each that it can speak.

use std::ops::RangeInclusive;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::answer_fields as fields;
use super::answer_walk::{Field, Walk};
use super::error::{Error, Kind};

/// A request, and the answer that belongs to it.
pub(crate) trait Api: Encodable + HeaderVersion {
    const KEY: i16;
    const NAME: &'static str;
    const VERSIONS: RangeInclusive<i16>;
    /// The fields of the answer.
    const ANSWER: &'static [Field];
    type Response: Decodable + HeaderVersion;

    /// Returns for how long the broker wants no further request, in milliseconds (`throttle_time_ms`, KIP-219).
    fn throttle_ms(_: &Self::Response) -> i32 {
        0
    }
}

macro_rules! apis {
    ($($name:ident: $request:ident -> $response:ident, $versions:expr, $fields:ident $(, $throttle:ident)?;)*) => { $(
        impl Api for $request {
            const KEY: i16 = ApiKey::$name as i16;
            const NAME: &'static str = stringify!($name);
            const VERSIONS: RangeInclusive<i16> = $versions;
            const ANSWER: &'static [Field] = fields::$fields;
            type Response = $response;
            $(
                fn throttle_ms(response: &Self::Response) -> i32 {
                    response.$throttle
                }
            )?
        }
    )* };
}

apis! {
    ApiVersions: ApiVersionsRequest -> ApiVersionsResponse, 0..=3, API_VERSIONS;
    // From 4 on, a request can prevent the broker from creating the topics that it names.
    Metadata: MetadataRequest -> MetadataResponse, 4..=13, METADATA, throttle_time_ms;
    // From 4 on, the numbers of partitions and replicas can be left to the broker.
    CreateTopics: CreateTopicsRequest -> CreateTopicsResponse, 4..=7, CREATE_TOPICS, throttle_time_ms;
    DescribeConfigs: DescribeConfigsRequest -> DescribeConfigsResponse, 1..=4, DESCRIBE_CONFIGS, throttle_time_ms;
    InitProducerId: InitProducerIdRequest -> InitProducerIdResponse, 0..=5, INIT_PRODUCER_ID, throttle_time_ms;
    Produce: ProduceRequest -> ProduceResponse, 5..=13, PRODUCE, throttle_time_ms;
    Fetch: FetchRequest -> FetchResponse, 4..=17, FETCH, throttle_time_ms;
    ListOffsets: ListOffsetsRequest -> ListOffsetsResponse, 1..=10, LIST_OFFSETS, throttle_time_ms;
    // From 4 on, a request names several groups.
    FindCoordinator: FindCoordinatorRequest -> FindCoordinatorResponse, 1..=3, FIND_COORDINATOR, throttle_time_ms;
    // From 10 on topics are named by their ids.
    OffsetCommit: OffsetCommitRequest -> OffsetCommitResponse, 2..=9, OFFSET_COMMIT, throttle_time_ms;
    SaslHandshake: SaslHandshakeRequest -> SaslHandshakeResponse, 1..=1, SASL_HANDSHAKE;
    SaslAuthenticate: SaslAuthenticateRequest -> SaslAuthenticateResponse, 0..=2, SASL_AUTHENTICATE;
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The place of the correlation id in a frame: after length, API and version.
const CORRELATION: std::ops::Range<usize> = 8..12;

/// Returns a whole frame, without the correlation id.
pub(super) fn encode<A: Api>(request: &A, version: i16, client: &StrBytes, room: usize) -> Result<BytesMut, Error> {
    let failed = |cause: Cause| Error::new(Kind::Encode).because(cause).by(A::NAME);
    let header = RequestHeader::default()
        .with_request_api_key(A::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(client.clone()));
    let mut frame = BytesMut::with_capacity(room);
    frame.put_i32(0);
    header.encode(&mut frame, A::header_version(version)).map_err(|e| failed(e.into()))?;
    request.encode(&mut frame, version).map_err(|e| failed(e.into()))?;

    let length = i32::try_from(frame.len() - 4).map_err(|e| failed(e.into()))?;
    if let Some(field) = frame.first_chunk_mut() {
        *field = length.to_be_bytes();
    }
    Ok(frame)
}

pub(super) fn correlate(frame: &mut BytesMut, correlation: i32) {
    if let Some(field) = frame.get_mut(CORRELATION) {
        field.copy_from_slice(&correlation.to_be_bytes());
    }
}

/// Returns the correlation id of an answer, which is where the answer begins.
pub(super) fn correlation_of(mut answer: &[u8]) -> Option<i32> {
    answer.try_get_i32().ok()
}

/// Returns an answer's contents. Bytes after them are ignored, because a newer broker may send more.
pub(super) fn decode<A: Api>(mut answer: Bytes, version: i16) -> Result<A::Response, Error> {
    let malformed = || Error::new(Kind::Malformed).by(A::NAME);
    ResponseHeader::decode(&mut answer, A::Response::header_version(version)).map_err(|e| malformed().because(e))?;

    walk::<A>(&answer, version).structure(A::ANSWER).map_err(|e| malformed().because(e))?;
    A::Response::decode(&mut answer, version).map_err(|e| malformed().because(e))
}

/// Returns the walk over an answer's contents.
fn walk<A: Api>(contents: &[u8], version: i16) -> Walk<'_> {
    /// The version of the request's header that flexible requests have.
    const FLEXIBLE: i16 = 2;
    // The answer to ApiVersions has the oldest header in all versions, so the header of an answer does not show the
    // version of the request's header.
    if A::header_version(version) >= FLEXIBLE {
        Walk::flexible(contents, version)
    } else {
        Walk::classic(contents, version)
    }
}

#[cfg(test)]
mod tests;
