use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest};
use uuid::Uuid;

use super::client::{Client, text, topic_name};
use super::target::Target;

fn group_id() -> GroupId {
    GroupId(text(&format!("conformance-{}", Uuid::now_v7().simple())))
}

fn commit(group: &GroupId, topic: &str, partition: OffsetCommitRequestPartition) -> OffsetCommitRequest {
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group.clone())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn offset(offset: i64) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition::default().with_committed_offset(offset).with_committed_metadata(Some(text("noted")))
}

/// Commits an offset, and returns the error code. A cluster that has just made the topic of its offsets asks for
/// another try (14, 15, 16).
async fn committed_as(client: &mut Client, version: i16, request: OffsetCommitRequest) -> i16 {
    for _ in 0..200 {
        let answer = client.call(version, request.clone()).await;
        let code = answer.topics[0].partitions[0].error_code;
        if !(14..=16).contains(&code) {
            return code;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no coordinator");
}

/// Returns a coordinator that is there.
async fn coordinated(client: &mut Client, group: &GroupId) {
    for _ in 0..200 {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]);
        let answer = client.call(6, request).await;
        if answer.coordinators[0].error_code == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no coordinator");
}

pub(crate) async fn committed(target: Arc<Target>) {
    let topic = target.topic(2).await;
    let mut client = target.client().await;

    for version in 2..=9 {
        let group = group_id();
        coordinated(&mut client, &group).await;
        assert_eq!(committed_as(&mut client, version, commit(&group, &topic.name, offset(7))).await, 0);
        assert_eq!(committed_as(&mut client, version, commit(&group, &topic.name, offset(5))).await, 0);

        let named =
            OffsetFetchRequestTopic::default().with_name(topic_name(&topic.name)).with_partition_indexes(vec![0, 1]);

        for version in 1..=7 {
            let request = OffsetFetchRequest::default().with_group_id(group.clone());
            let answer = client.call(version, request.clone().with_topics(Some(vec![named.clone()]))).await;
            let partitions = &answer.topics[0].partitions;
            let found: Vec<_> = partitions
                .iter()
                .map(|found| (found.partition_index, found.error_code, found.committed_offset, found.metadata.clone()))
                .collect();
            assert_eq!(found, [(0, 0, 5, Some(text("noted"))), (1, 0, -1, Some(text("")))]);

            if version >= 2 {
                let answer = client.call(version, request.with_topics(None)).await;
                assert_eq!((answer.error_code, answer.topics.len()), (0, 1));
                assert_eq!(answer.topics[0].partitions.len(), 1);
            }
        }
    }

    let (group, unknown) = (group_id(), group_id());
    committed_as(&mut client, 9, commit(&group, &topic.name, offset(9))).await;

    for version in 8..=9 {
        let named =
            OffsetFetchRequestTopics::default().with_name(topic_name(&topic.name)).with_partition_indexes(vec![0]);

        let groups = [&group, &unknown].map(|id| {
            let group = OffsetFetchRequestGroup::default().with_group_id(id.clone());
            group.with_member_epoch(-1).with_member_id(None).with_topics(Some(vec![named.clone()]))
        });
        let answer = client.call(version, OffsetFetchRequest::default().with_groups(groups.to_vec())).await;
        let mut found: Vec<_> = answer
            .groups
            .iter()
            .map(|found| (found.group_id == group, found.error_code, found.topics[0].partitions[0].committed_offset))
            .collect();
        found.sort_unstable();
        assert_eq!(found, [(false, 0, -1), (true, 0, 9)]);
    }
}

pub(crate) async fn refused_commits(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut client = target.client().await;
    let group = group_id();
    coordinated(&mut client, &group).await;
    let generation = |group: &GroupId| {
        commit(group, &topic.name, offset(1)).with_generation_id_or_member_epoch(3).with_member_id(text("member"))
    };
    assert_eq!(committed_as(&mut client, 8, generation(&group)).await, 22, "no such group");
    assert_eq!(committed_as(&mut client, 8, commit(&group, &topic.name, offset(1))).await, 0);
    assert_eq!(committed_as(&mut client, 8, generation(&group)).await, 25, "no such member");
    assert_eq!(committed_as(&mut client, 8, commit(&GroupId(text("")), &topic.name, offset(1))).await, 0);
    assert_eq!(committed_as(&mut client, 8, commit(&group, "no-such-topic", offset(1))).await, 3);

    let unknown = offset(1).with_partition_index(1);
    assert_eq!(committed_as(&mut client, 8, commit(&group, &topic.name, unknown)).await, 3);

    let noted = |length| offset(1).with_committed_metadata(Some(text(&"x".repeat(length))));
    assert_eq!(committed_as(&mut client, 8, commit(&group, &topic.name, noted(4097))).await, 12);
    assert_eq!(committed_as(&mut client, 8, commit(&group, &topic.name, noted(4096))).await, 0);
}

pub(crate) async fn coordinators(target: Arc<Target>) {
    let mut client = target.client().await;
    let group = group_id();
    coordinated(&mut client, &group).await;

    for version in 0..=6 {
        let request = match version {
            0..4 => FindCoordinatorRequest::default().with_key(group.0.clone()),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]),
        };
        let answer = client.call(version, request).await;
        let address = match version {
            0..4 => format!("{}:{}", answer.host.as_str(), answer.port),
            _ => format!("{}:{}", answer.coordinators[0].host.as_str(), answer.coordinators[0].port),
        };
        assert_eq!(address, target.address);
    }

    let request = FindCoordinatorRequest::default().with_key_type(9).with_coordinator_keys(vec![group.0.clone()]);
    assert_eq!(client.call(6, request).await.coordinators[0].error_code, 42);
}
