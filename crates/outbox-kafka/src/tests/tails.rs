//! The ends of logs: limits, holes, other writers' batches.

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::*;
use crate::answer_fields::all;
use crate::answer_walk::Field;
use crate::answer_walk::Kind::{Fixed, Structs, Text};

impl Api for DeleteRecordsRequest {
    const KEY: i16 = 21;
    const NAME: &'static str = "DeleteRecords";
    const VERSIONS: RangeInclusive<i16> = 2..=2;
    const ANSWER: &'static [Field] = &[all(Fixed(4)), all(Structs(&[all(Text), all(Structs(DELETED))]))];
    type Response = DeleteRecordsResponse;
}

const DELETED: &[Field] = &[all(Fixed(4)), all(Fixed(8)), all(Fixed(2))];

/// Writes ten batches of ten records, with their offsets for values, large enough to need several answers.
async fn fill(scene: &Scene) {
    for number in 0..10 {
        let mut builder = BatchBuilder::new(Compression::None, 1000);
        for record in 0..10 {
            let headers = [("id", Some(format!("{}", number * 10 + record))), ("outbox.position", None)];
            builder.append(now(), &RecordBody::new(None, Some(&[b'x'; 40_000]), &headers));
        }
        appended(&scene.produce(builder.finish(Producer::NONE).unwrap().unwrap()).await);
    }
}

fn ids(read: &[Read]) -> Vec<i64> {
    read.iter()
        .map(|record| {
            assert_eq!(record.headers[1], ("outbox.position".to_owned(), None));
            let id = String::from_utf8(record.headers[0].1.clone().unwrap()).unwrap().parse().unwrap();
            assert_eq!(record.offset, id);
            id
        })
        .collect()
}

#[tokio::test]
async fn only_the_newest_part_is_shown() {
    Scene::play(1, &[], |scene| async move {
        assert_eq!(
            scene.tail(TailStart::Last(5), 10).await,
            (Tail { log_start: 0, start: 0, end: 0, next: 0 }, vec![], vec![])
        );
        fill(&scene).await;

        let shown = async |from, limit| {
            let (tail, _, records) = scene.tail(from, limit).await;
            assert_eq!((tail.log_start, tail.end, tail.next), (0, 100, 100));
            let ids = ids(&records);
            assert_eq!(ids, (tail.start..100).collect::<Vec<_>>());
            tail.start
        };

        assert_eq!(shown(TailStart::Last(100), 1000).await, 0);
        assert_eq!(shown(TailStart::Last(1000), 1000).await, 0);
        assert_eq!(shown(TailStart::Last(35), 1000).await, 65);
        assert_eq!(shown(TailStart::Last(35), 12).await, 88);
        assert_eq!(shown(TailStart::Offset(0), 30).await, 70);
        assert_eq!(shown(TailStart::Offset(97), 30).await, 97);
        assert_eq!(shown(TailStart::Offset(100), 30).await, 100);
        assert_eq!(shown(TailStart::Offset(1000), 30).await, 100);
        assert_eq!(shown(TailStart::Last(0), 30).await, 100);
        assert_eq!(shown(TailStart::Last(u64::MAX), u64::MAX).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_visitor_may_stop() {
    Scene::play(1, &[], |scene| async move {
        fill(&scene).await;
        let mut seen = 0;
        let visitor = |entry: Entry<'_>| match entry {
            Entry::Record(_, view) => {
                seen += 1;
                if view.header("id") == Some(b"25") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            Entry::Batch(_) => ControlFlow::Continue(()),
        };
        let tail = scene.cluster.read_tail(&scene.topic, 0, TailStart::Offset(0), 1000, visitor).await.unwrap();
        assert_eq!((seen, tail.next, tail.end), (26, 20, 100));
    })
    .await;
}

#[tokio::test]
async fn where_records_were_deleted_the_rest_is_shown() {
    Scene::play(1, &[], |scene| async move {
        fill(&scene).await;
        let delete_before = async |offset| {
            let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
            let topic = DeleteRecordsTopic::default()
                .with_name(topic_name(scene.topic.name()))
                .with_partitions(vec![partition]);
            let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
            let (leader, _) = scene.cluster.leader(&scene.topic, 0).await.unwrap();
            assert_eq!(leader.request(&request).await.unwrap().topics[0].partitions[0].error_code, 0);
        };
        delete_before(63).await;

        let (tail, _, records) = scene.tail(TailStart::Offset(0), 1000).await;
        assert_eq!(tail, Tail { log_start: 63, start: 63, end: 100, next: 100 });
        assert_eq!(ids(&records), (63..100).collect::<Vec<_>>());
        assert_eq!(scene.cluster.list_offsets(&scene.topic, 0, OffsetAt::Earliest).await.unwrap(), 63);
        assert_eq!(scene.cluster.list_offsets(&scene.topic, 0, OffsetAt::Latest).await.unwrap(), 100);

        delete_before(100).await;
        let (tail, _, records) = scene.tail(TailStart::Last(50), 1000).await;
        assert_eq!((tail, records), (Tail { log_start: 100, start: 100, end: 100, next: 100 }, vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_batch_larger_than_what_is_asked_for_is_read() {
    Scene::play(1, &[("max.message.bytes", "9000000")], |scene| async move {
        let values: Vec<_> = (0..80).map(|_| [b'x'; 100_000]).collect();
        assert_eq!(appended(&scene.produce(batch(Producer::NONE, &values)).await), 0);
        let (tail, batches, records) = scene.tail(TailStart::Last(3), 1000).await;
        assert_eq!((tail.next, batches.len(), records.len()), (80, 1, 3));
    })
    .await;
}

#[tokio::test]
async fn the_brokers_own_timestamps_are_read() {
    Scene::play(1, &[("message.timestamp.type", "LogAppendTime")], |scene| async move {
        let begin = now();
        let mut builder = BatchBuilder::new(Compression::Lz4, 1000);
        builder.append(5, &RecordBody::new(None, Some(b"value"), NO_HEADERS));
        appended(&scene.produce(builder.finish(Producer::NONE).unwrap().unwrap()).await);
        let (_, batches, records) = scene.tail(TailStart::Offset(0), 1000).await;
        assert!(batches[0].is_log_append_time);
        assert!((begin..=now()).contains(&records[0].timestamp), "{}", records[0].timestamp);
    })
    .await;
}
