use std::collections::BTreeMap;
use std::ops::ControlFlow;

use outbox_kafka::{Cluster, Entry, Settings, TailStart};

use crate::scene::Scene;

/// Reads all partitions of all topics. Each aggregate has its events in one partition, each once and in order, and
/// nothing is a dead letter.
pub(crate) async fn all(scene: &Scene) {
    let client = scene.env.client().await;
    let sql = "SELECT aggregate_type, aggregate_id, count(*) FROM outbox.outbox_message GROUP BY 1, 2";
    let rows = client.query(sql, &[]).await.unwrap();
    let mut expected: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for row in rows {
        let aggregates = expected.entry(scene.env.topic_of(row.get(0))).or_default();
        aggregates.insert(row.get(1), row.get(2));
    }

    let bootstrap = scene.cluster.bootstrap();
    let cluster = Cluster::new(Settings::new(bootstrap.split(',')));
    let mut events = 0;
    for (topic, expected) in expected {
        let found = read(&cluster, &topic).await.unwrap_or_else(|| panic!("there is no topic {topic}"));
        assert!(found.keys().eq(expected.keys()), "{topic}: not all aggregates have records");
        for (aggregate, places) in found {
            let numbers: Vec<i64> = places.iter().map(|(_, number)| *number).collect();
            let wanted: Vec<i64> = (0..expected[&aggregate]).collect();
            assert_eq!(numbers, wanted, "{topic}, {aggregate}: lost, duplicated or reordered");
            assert!(places.iter().all(|(partition, _)| *partition == places[0].0), "{topic}, {aggregate}: split");
            events += places.len();
        }
    }
    assert!(read(&cluster, &scene.dead_letters()).await.is_none(), "a good row is a dead letter");
    eprintln!("{events} events are once and in order");
}

/// Reads partition and number of each record of each aggregate, by partition and offset.
async fn read(cluster: &Cluster, name: &str) -> Option<BTreeMap<String, Vec<(i32, i64)>>> {
    let topic = cluster.refreshed(name).await.unwrap()?;
    let mut found: BTreeMap<String, Vec<(i32, i64)>> = BTreeMap::new();

    for partition in 0..topic.partitions() {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let visitor = |entry: Entry<'_>| {
            if let Entry::Record(_, record) = entry {
                let number = text(record.value).parse().unwrap();
                found.entry(text(record.key)).or_default().push((partition, number));
            }
            ControlFlow::Continue(())
        };
        let tail = cluster.read_tail(&topic, partition, TailStart::Offset(0), u64::MAX, visitor).await.unwrap();
        assert_eq!(tail.next, tail.end);
    }
    Some(found)
}
