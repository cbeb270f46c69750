//! The behaviour of a real broker towards an idempotent producer, and with one that continues for another.

use super::*;

fn values(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn at(producer: Producer, sequence: i32) -> Producer {
    Producer { sequence, ..producer }
}

#[tokio::test]
async fn the_same_again_is_appended_once_and_gaps_not_at_all() {
    Scene::play(1, &[], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        let first = batch(producer, &values(0..5));
        assert_eq!(appended(&scene.produce(first.clone()).await), 0);
        assert_eq!(appended(&scene.produce(batch(at(producer, 5), &values(5..10))).await), 5);
        // Again, from here and from elsewhere; also with other contents.
        assert_eq!(appended(&scene.produce(first.clone()).await), 0);
        assert_eq!(appended(&scene.elsewhere().produce(first).await), 0);
        assert_eq!(appended(&scene.produce(batch(at(producer, 5), &values(105..110))).await), 5);

        let gap = scene.produce(batch(at(producer, 11), &values(11..12))).await;
        assert!(matches!(gap, Produced::OutOfOrderSequence), "{gap:?}");
        let split_otherwise = scene.produce(batch(at(producer, 5), &values(5..8))).await;
        assert!(matches!(split_otherwise, Produced::OutOfOrderSequence), "{split_otherwise:?}");
        let too_much = scene.produce(batch(at(producer, 5), &values(5..15))).await;
        assert!(matches!(too_much, Produced::OutOfOrderSequence), "{too_much:?}");

        assert_eq!(scene.all().await.iter().map(Read::text).collect::<Vec<_>>(), values(0..10));
    })
    .await;
}

#[tokio::test]
async fn the_answer_tells_a_batch_that_was_there_from_one_that_was_appended() {
    Scene::play(1, &[], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        let first = batch(producer, &values(0..5));
        let second = batch(at(producer, 5), &values(5..6));
        for sent in [&first, &second] {
            assert!(matches!(scene.produce(sent.clone()).await, Produced::Appended { time: None, .. }));
        }
        for again in [first, second] {
            assert!(matches!(scene.elsewhere().produce(again).await, Produced::Appended { time: Some(_), .. }));
        }
    })
    .await;
}

#[tokio::test]
async fn a_larger_epoch_shuts_the_older_one_out() {
    Scene::play(1, &[], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        assert_eq!(appended(&scene.produce(batch(producer, &["0"])).await), 0);
        let fenced = Producer { epoch: producer.epoch + 1, ..producer };
        let not_at_0 = scene.produce(batch(at(fenced, 1), &["1"])).await;
        assert!(matches!(not_at_0, Produced::OutOfOrderSequence), "{not_at_0:?}");
        assert_eq!(appended(&scene.produce(batch(fenced, &["1"])).await), 1);
        let late = scene.produce(batch(at(producer, 1), &["late"])).await;
        assert!(matches!(late, Produced::InvalidEpoch), "{late:?}");
        assert_eq!(scene.all().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn another_process_goes_on_by_what_the_log_says() {
    Scene::play(1, &[], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        let last = batch(at(producer, 3), &values(3..7));
        assert_eq!(appended(&scene.produce(batch(producer, &values(0..3))).await), 0);
        assert_eq!(appended(&scene.produce(last.clone()).await), 3);

        let heir = scene.elsewhere();
        let (_, batches, _) = heir.tail(TailStart::Last(1), 100).await;
        let header = batches.last().unwrap();
        assert_eq!(header.producer, at(producer, 3));
        let next = at(header.producer, header.last_sequence).after(1);
        // The last batch of the dead producer arrives late, before and after its successor has continued.
        assert_eq!(appended(&scene.produce(last.clone()).await), 3);
        assert_eq!(appended(&heir.produce(batch(next, &values(7..9))).await), 7);
        assert_eq!(appended(&scene.produce(last).await), 3);
        assert_eq!(heir.all().await.iter().map(Read::text).collect::<Vec<_>>(), values(0..9));
    })
    .await;
}

#[tokio::test]
async fn sequences_begin_anywhere_and_go_on_after_the_largest() {
    Scene::play(1, &[], |scene| async move {
        let producer = at(scene.cluster.init_producer_id().await.unwrap(), i32::MAX - 1);
        assert_eq!(appended(&scene.produce(batch(producer, &values(0..4))).await), 0);
        assert_eq!(appended(&scene.produce(batch(producer.after(4), &values(4..5))).await), 4);
        let (_, batches, _) = scene.tail(TailStart::Offset(0), 100).await;
        assert_eq!(batches.iter().map(|batch| batch.last_sequence).collect::<Vec<_>>(), [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn producers_are_never_the_same() {
    let cluster = cluster();
    let first = cluster.init_producer_id().await.unwrap();
    let second = cluster.init_producer_id().await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!((first.epoch, first.sequence), (0, 0));
}
