use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::Decodable;

use super::target::Target;

pub(crate) async fn too_new_api_versions(target: Arc<Target>) {
    let mut client = target.client().await;
    client.send_raw(ApiKey::ApiVersions as i16, 99, 2, b"future").await;
    let mut frame = client.receive_raw().await.unwrap().split_off(4);
    let answer = ApiVersionsResponse::decode(&mut frame, 0).unwrap();
    assert_eq!(answer.error_code, 35);
    assert_eq!(answer.api_keys.len(), 1);
    assert_eq!(answer.api_keys[0].api_key, 18);
    assert!(frame.is_empty());
    // The connection continues.
    assert_eq!(client.call(0, ApiVersionsRequest::default()).await.error_code, 0);
}

pub(crate) async fn unsupported_versions(target: Arc<Target>) {
    for (key, version) in [(ApiKey::Metadata as i16, 99), (ApiKey::Produce as i16, 2), (999, 0)] {
        let mut client = target.client().await;
        client.send_raw(key, version, 1, b"\0\0\0\0").await;
        client.assert_closed().await;
    }
}

async fn ranges(target: &Target) -> BTreeMap<i16, (i16, i16)> {
    let request = ApiVersionsRequest::default().with_client_software_name("test".into());
    let answer = target.client().await.call(3, request.with_client_software_version("1".into())).await;
    assert_eq!(answer.error_code, 0);
    answer.api_keys.iter().map(|range| (range.api_key, (range.min_version, range.max_version))).collect()
}

/// Checks that the target serves what the test broker serves.
pub(crate) async fn served_by_kafka(target: Arc<Target>) {
    let theirs = ranges(&target).await;
    for (key, (oldest, newest)) in ranges(&Target::double().await).await {
        let (from, to) = theirs[&key];
        assert!(from <= oldest && newest <= to, "{key}: {oldest}..{newest} is not within {from}..{to}");
    }
}
