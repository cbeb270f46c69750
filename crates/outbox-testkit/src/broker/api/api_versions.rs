use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use crate::broker::faults::Place;
use crate::broker::imitation::Imitation;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;
use crate::broker::wire::schema::{SERVED, Schema};

pub(super) fn supported(shared: &Shared) -> ApiVersionsResponse {
    let imitation = &shared.settings.imitation;
    let refusal = shared.refusal(Api::ApiVersions, Place::Anywhere);
    let ranges = SERVED.iter().filter_map(|schema| range(schema, imitation));
    ApiVersionsResponse::default().with_error_code(shared.code_of(&refusal)).with_api_keys(ranges.collect())
}

/// Returns the answer to an unsupported newer version: an error and the range of ApiVersions (KIP-511).
pub(super) fn unsupported(imitation: &Imitation) -> ApiVersionsResponse {
    let itself = SERVED.iter().filter(|schema| schema.api == Api::ApiVersions);
    let itself = itself.filter_map(|schema| range(schema, imitation));
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(itself.collect())
}

fn range(schema: &Schema, imitation: &Imitation) -> Option<ApiVersion> {
    let (oldest, newest) = schema.versions(imitation)?;
    let range = ApiVersion::default().with_api_key(schema.api.key() as i16);
    Some(range.with_min_version(oldest).with_max_version(newest))
}
