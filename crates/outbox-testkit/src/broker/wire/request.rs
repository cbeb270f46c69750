//! A request's header: API key and version (i16 each), correlation id (i32), client id, tagged fields if flexible.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::schema::Schema;
use super::{Api, Malformed};
use crate::broker::imitation::Imitation;

/// A request that is served, its body checked by its schema.
#[derive(Debug)]
pub(in crate::broker) struct Request {
    pub(in crate::broker) api: Api,
    pub(in crate::broker) version: i16,
    correlation_id: i32,
    body: Bytes,
}

/// A received request.
#[derive(Debug)]
pub(in crate::broker) enum Incoming {
    Served(Request),
    /// An ApiVersions request in an unsupported newer version, which is answered in version 0 (KIP-35).
    TooNewApiVersions(Request),
}

impl Incoming {
    /// Reads the header, and checks the body of a request that the imitated broker serves.
    pub(in crate::broker) fn open(mut frame: Bytes, imitation: &Imitation) -> Result<Self, Malformed> {
        let (key, version) = {
            let mut start: &[u8] = &frame;
            let truncated = |_| Malformed::Truncated;
            (start.try_get_i16().map_err(truncated)?, start.try_get_i16().map_err(truncated)?)
        };
        let not_served = || Malformed::NotServed(key, version);
        let schema = Schema::of(key).ok_or_else(not_served)?;
        let (oldest, newest) = schema.versions(imitation).ok_or_else(not_served)?;

        let api = schema.api;
        let header = RequestHeader::decode(&mut frame, api.key().request_header_version(version))
            .map_err(|_cause| Malformed::Codec)?;
        let request = Request { api, version, correlation_id: header.correlation_id, body: frame };
        if (oldest..=newest).contains(&version) {
            schema.check(&request.body, version)?;
            return Ok(Self::Served(request));
        }
        if api == Api::ApiVersions && version > newest && imitation.answers_newer_api_versions() {
            return Ok(Self::TooNewApiVersions(request));
        }
        Err(not_served())
    }
}

impl Request {
    pub(in crate::broker) fn decode<T: Decodable>(&self) -> Result<T, Malformed> {
        T::decode(&mut self.body.clone(), self.version).map_err(|_cause| Malformed::Codec)
    }

    /// Returns the frame of an answer in the request's version.
    pub(in crate::broker) fn reply<T: Encodable>(&self, response: &T) -> Result<Bytes, Malformed> {
        self.reply_in(response, self.version)
    }

    /// Returns the frame of an answer in another version than the request's.
    pub(in crate::broker) fn reply_in<T: Encodable>(&self, response: &T, version: i16) -> Result<Bytes, Malformed> {
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let header_version = self.api.key().response_header_version(version);
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
