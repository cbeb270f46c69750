//! Batches that are not appended, and the errors about them.

use super::*;

#[track_caller]
fn rejected(produced: Produced) -> (Error, Vec<RejectedRecord>) {
    match produced {
        Produced::Rejected { error, records } => (error, records),
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn a_record_too_large_is_rejected_and_the_producer_goes_on() {
    Scene::play(1, &[("max.message.bytes", "2000")], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        let (error, _) = rejected(scene.produce(batch(producer, &[[b'x'; 3000]])).await);
        assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
        let shown = error.to_string();
        assert!(shown.contains(scene.topic.name()) && shown.contains("partition 0"), "{shown}");
        assert!(shown.contains("MESSAGE_TOO_LARGE (10)"), "{shown}");
        assert_eq!(appended(&scene.produce(batch(producer, &["small"])).await), 0);
    })
    .await;
}

#[tokio::test]
async fn a_timestamp_of_the_future_is_rejected_by_its_record() {
    Scene::play(1, &[("message.timestamp.after.max.ms", "1000")], |scene| async move {
        let mut builder = BatchBuilder::new(Compression::Lz4, 1000);
        for ahead in [0, 60_000, 0, 120_000] {
            builder.append(now() + ahead, &RecordBody::new(None, Some(b"value"), NO_HEADERS));
        }
        let (error, records) = rejected(scene.produce(builder.finish(Producer::NONE).unwrap().unwrap()).await);
        assert_eq!(error.code(), Some(ErrorCode::INVALID_TIMESTAMP));
        assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), [1, 3]);
        assert!(scene.all().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_compacted_topic_takes_no_record_without_a_key() {
    Scene::play(1, &[("cleanup.policy", "compact")], |scene| async move {
        let mut builder = BatchBuilder::new(Compression::None, 1000);
        for key in [Some(b"key".as_slice()), None] {
            builder.append(now(), &RecordBody::new(key, Some(b"value"), NO_HEADERS));
        }
        let (error, records) = rejected(scene.produce(builder.finish(Producer::NONE).unwrap().unwrap()).await);
        assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
        assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), [1]);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_a_batch_is_not_appended() {
    Scene::play(1, &[], |scene| async move {
        let mut broken = batch(Producer::NONE, &["value"]).to_vec();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        let produced = scene.produce(broken.into()).await;
        assert!(
            matches!(&produced, Produced::Retriable(e) if e.code() == Some(ErrorCode::CORRUPT_MESSAGE)),
            "{produced:?}"
        );
        assert_eq!(appended(&scene.produce(batch(Producer::NONE, &["value"])).await), 0);
    })
    .await;
}

#[tokio::test]
async fn a_partition_or_a_topic_that_is_gone_takes_nothing() {
    let name = unique_name();
    let cluster = Arc::new(cluster());
    let new = NewTopic { name: name.clone(), partitions: Some(1), ..NewTopic::default() };
    let topic = cluster.create_topic(&new).await.unwrap();
    let send = |topic: &Arc<Topic>, partition| ToProduce {
        topic: Arc::clone(topic),
        partition,
        batch: batch(Producer::NONE, &["value"]),
    };
    let produced = cluster.produce(send(&topic, 1)).await;
    assert!(matches!(&produced, Produced::Retriable(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)));

    delete(&cluster, &name).await;
    while cluster.refreshed(&name).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let produced = cluster.produce(send(&topic, 0)).await;
    assert!(matches!(&produced, Produced::Retriable(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)));

    // A topic of the same name is another topic.
    let again = cluster.create_topic(&new).await.unwrap();
    assert_ne!(again.id(), topic.id());
    let produced = cluster.produce(send(&topic, 0)).await;
    assert!(
        matches!(&produced, Produced::Retriable(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_ID)),
        "{produced:?}"
    );
    assert_eq!(appended(&cluster.produce(send(&again, 0)).await), 0);
    delete(&cluster, &name).await;
}

#[tokio::test]
async fn a_topic_made_anew_behind_our_back_takes_nothing_either() {
    Scene::play(1, &[], |scene| async move {
        let name = scene.topic.name().to_owned();
        assert_eq!(appended(&scene.produce(batch(Producer::NONE, &["old"])).await), 0);

        let other = cluster();
        delete(&other, &name).await;
        while other.refreshed(&name).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        let new = NewTopic { name, partitions: Some(1), ..NewTopic::default() };
        let again = other.create_topic(&new).await.unwrap();
        // This cluster value still has the old description, so it is the broker that knows.
        let produced = scene.produce(batch(Producer::NONE, &["late"])).await;
        assert!(
            matches!(&produced, Produced::Retriable(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_ID)),
            "{produced:?}"
        );
        assert_eq!(scene.cluster.topic(again.name()).await.unwrap().unwrap().id(), again.id());
        assert!(Scene { topic: again, ..scene }.all().await.is_empty());
    })
    .await;
}
