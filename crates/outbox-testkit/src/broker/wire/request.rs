//! A request's header: API key and version (i16 each), correlation id (i32), client id, tagged fields if flexible.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::Malformed;
use super::schema::Schema;
use super::shape::Walk;

/// A request that is served, its body checked by its schema.
#[derive(Debug)]
pub(in crate::broker) struct Request {
    pub(in crate::broker) key: ApiKey,
    pub(in crate::broker) version: i16,
    correlation_id: i32,
    body: Bytes,
}

/// A request as it came.
#[derive(Debug)]
pub(in crate::broker) enum Incoming {
    Served(Request),
    /// An ApiVersions request in a version from the future, answered in version 0 (KIP-35).
    TooNewApiVersions(Request),
}

impl Incoming {
    pub(in crate::broker) fn open(mut frame: Bytes) -> Result<Self, Malformed> {
        let (key, version) = {
            let mut start: &[u8] = &frame;
            let truncated = |_| Malformed::Truncated;
            (start.try_get_i16().map_err(truncated)?, start.try_get_i16().map_err(truncated)?)
        };
        let schema = Schema::of(key).ok_or(Malformed::NotServed(key, version))?;
        let key = schema.key;
        let header = RequestHeader::decode(&mut frame, key.request_header_version(version))
            .map_err(|_cause| Malformed::Codec)?;
        let request = Request { key, version, correlation_id: header.correlation_id, body: frame };
        if schema.serves(version) {
            let mut walk = Walk::new(&request.body, version, schema.encoding(version), schema.tags());
            walk.structure(schema.fields)?;
            return Ok(Self::Served(request));
        }
        if key == ApiKey::ApiVersions && version > schema.newest {
            return Ok(Self::TooNewApiVersions(request));
        }
        Err(Malformed::NotServed(key as i16, version))
    }
}

impl Request {
    pub(in crate::broker) fn decode<T: Decodable>(&self) -> Result<T, Malformed> {
        T::decode(&mut self.body.clone(), self.version).map_err(|_cause| Malformed::Codec)
    }

    /// The frame of an answer in the request's version.
    pub(in crate::broker) fn reply<T: Encodable>(&self, response: &T) -> Result<Bytes, Malformed> {
        self.reply_in(response, self.version)
    }

    /// The frame of an answer in another version than the request's.
    pub(in crate::broker) fn reply_in<T: Encodable>(&self, response: &T, version: i16) -> Result<Bytes, Malformed> {
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let header_version = self.key.response_header_version(version);
        let size = response.compute_size(version).map_err(|_cause| Malformed::Codec)?;
        let mut frame = BytesMut::with_capacity(size + 16);
        frame.extend_from_slice(&[0; 4]);
        header.encode(&mut frame, header_version).map_err(|_cause| Malformed::Codec)?;
        response.encode(&mut frame, version).map_err(|_cause| Malformed::Codec)?;
        let length = i32::try_from(frame.len() - 4).map_err(|_cause| Malformed::Codec)?;
        if let Some(place) = frame.first_chunk_mut() {
            *place = length.to_be_bytes();
        }
        Ok(frame.freeze())
    }
}
