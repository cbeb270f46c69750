use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

use crate::broker::wire::schema::{SERVED, Schema};

pub(super) fn supported() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(SERVED.iter().map(range).collect())
}

/// The answer to a version from the future: an error and the range of ApiVersions itself (KIP-511).
pub(super) fn unsupported() -> ApiVersionsResponse {
    let itself = SERVED.iter().filter(|schema| schema.key == ApiKey::ApiVersions).map(range);
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(itself.collect())
}

fn range(schema: &Schema) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(schema.key as i16)
        .with_min_version(schema.oldest)
        .with_max_version(schema.newest)
}
