//! Produced records are read back: contents, headers, timestamps, order.

use super::*;

type Field = Option<&'static [u8]>;
type Headers = &'static [(&'static str, Field)];

#[tokio::test]
async fn records_come_back_as_they_were_with_every_codec() {
    Scene::play(1, &[], |scene| async move {
        let producer = scene.cluster.init_producer_id().await.unwrap();
        let headers: Headers =
            &[("id", Some(b"1")), ("b", None), ("a", Some(b"x")), ("b", Some(b"")), ("a", Some(b"y")), ("", None)];
        let time = now() - 5000;
        let rows: [(i64, Field, Field, Headers); 4] = [
            (time, Some(b"key"), Some(b"value"), headers),
            (time - 3000, None, Some(b""), &[]),
            (time + 2, Some(b""), None, &[("id", Some(b"2"))]),
            (time, None, None, &[]),
        ];

        let codecs = [Compression::None, Compression::Lz4, Compression::Gzip, Compression::Snappy, Compression::Zstd];
        let mut next = producer;
        for compression in codecs {
            let mut builder = BatchBuilder::new(compression, 1000);
            for (timestamp, key, value, headers) in rows {
                builder.append(timestamp, &RecordBody::new(key, value, headers));
            }
            let count = builder.count();
            let produced = scene.produce(builder.finish(next).unwrap().unwrap()).await;
            assert_eq!(appended(&produced), i64::from(next.sequence), "{compression:?}");
            next = next.after(count);
        }

        let (tail, batches, read) = scene.tail(TailStart::Offset(0), u64::MAX).await;
        assert_eq!((tail.log_start, tail.start, tail.end, tail.next), (0, 0, 20, 20));
        assert_eq!(batches.iter().map(|batch| batch.compression).collect::<Vec<_>>(), codecs);
        assert_eq!(batches[4].producer, Producer { sequence: 16, ..producer });
        assert_eq!((batches[4].last_sequence, batches[4].max_timestamp), (19, time + 2));

        let owned = |bytes: &[u8]| bytes.to_vec();
        for (place, read) in read.iter().enumerate() {
            let (timestamp, key, value, headers) = rows[place % 4];
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(owned))).collect();
            let offset = i64::try_from(place).unwrap();
            let expected = Read { offset, timestamp, key: key.map(owned), value: value.map(owned), headers };
            assert_eq!(read, &expected);
        }
        assert_eq!(read.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn many_partitions_go_at_once_and_each_keeps_its_order() {
    Scene::play(12, &[], |scene| async move {
        let mut next = scene.cluster.init_producer_id().await.unwrap();
        for round in 0..5 {
            let batches: Vec<_> = (0..12)
                .rev()
                .map(|partition| ToProduce {
                    topic: Arc::clone(&scene.topic),
                    partition,
                    batch: batch(next, &[format!("{partition}/{round}/0"), format!("{partition}/{round}/1")]),
                })
                .collect();
            for produced in scene.cluster.produce_many(&batches).await {
                assert_eq!(appended(&produced), round * 2);
            }
            next = next.after(2);
        }
        for partition in 0..12 {
            let mut values = Vec::new();
            let visitor = |entry: Entry<'_>| {
                if let Entry::Record(_, view) = entry {
                    values.push(Read::of(&view).text());
                }
                ControlFlow::Continue(())
            };
            scene.cluster.read_tail(&scene.topic, partition, TailStart::Offset(0), 100, visitor).await.unwrap();
            let expected: Vec<_> = (0..10).map(|n| format!("{partition}/{}/{}", n / 2, n % 2)).collect();
            assert_eq!(values, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn one_request_is_cut_where_it_would_be_too_large() {
    Scene::play(4, &[], |scene| async move {
        let cluster = Cluster::new(Settings { max_request: 1500, ..settings() });
        let batches: Vec<_> = (0..4)
            .map(|partition| ToProduce {
                topic: Arc::clone(&scene.topic),
                partition,
                batch: batch(Producer::NONE, &[[b'x'; 1000]]),
            })
            .collect();
        assert!(cluster.produce_many(&batches).await.iter().all(|produced| appended(produced) == 0));
    })
    .await;
}
