use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use outbox_pg::{Republish, SlotOptions};
use outbox_test_support::eventually;

use crate::fixture::{RelayEnv, numbered};

/// The remedy for a lost slot, as docs/postgres.md has it.
#[tokio::test]
async fn events_that_a_dropped_slot_left_out_are_published_by_a_replay_under_load() {
    let fixture = RelayEnv::new(3).await;
    let is_over = AtomicBool::new(false);
    let load = async {
        let (mut client, mut count) = (fixture.client().await, 0);
        while !is_over.load(Ordering::Relaxed) {
            let tx = client.transaction().await.unwrap();
            fixture.outbox.enqueue(&tx, &numbered(5, count)).await.unwrap();
            tx.commit().await.unwrap();
            count += 1;
        }
        count
    };

    let outage = async {
        let relay = fixture.start();
        fixture.records(30).await;
        relay.kill().await;
        let mut client = fixture.client().await;
        eventually("the slot is dropped", async || {
            let drop = "SELECT pg_drop_replication_slot($1)";
            client.execute(drop, &[&fixture.pipeline().slot().as_str()]).await.map_err(|e| format!("{e:?}"))
        })
        .await;
        let rows = fixture.rows().await;
        eventually("events are missed", async || fixture.rows().await >= rows + 30).await;

        SlotOptions::default().recreate().create(&client, fixture.pipeline()).await.unwrap();
        let relay = fixture.start();
        let replay = Republish::missed(fixture.pipeline().clone()).batch_size(20);
        let progress = replay.run(&mut client, "dropped").await.unwrap();
        assert!(progress.is_finished && progress.events >= 30, "{progress:?}");
        is_over.store(true, Ordering::Relaxed);
        (relay, progress.events)
    };
    let (count, (relay, replayed)) = tokio::join!(load, outage);

    let records = eventually("every event is published", async || {
        let records = fixture.read(&fixture.topic).await;
        let numbers: BTreeSet<i64> = records.iter().map(|record| record.value.parse().unwrap()).collect();
        let marked = records.iter().filter(|record| record.headers["headers"].contains("outbox-replay")).count();
        let is_complete = numbers.iter().copied().eq(0..count) && marked >= usize::try_from(replayed).unwrap();
        if is_complete { Ok(records) } else { Err(format!("{} of {count}, {marked} again", numbers.len())) }
    })
    .await;

    let mut ids: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for record in &records {
        let number = record.value.parse().unwrap();
        ids.entry(&record.headers["id"]).or_default().insert(number);
        if record.headers["headers"].contains("outbox-replay") {
            let before = last.insert(&record.key, number);
            assert!(before.is_none_or(|before| before < number), "{before:?} before {number} of {}", record.key);
        }
    }

    assert_eq!(ids.len(), usize::try_from(count).unwrap(), "an event that is published again keeps its id");
    assert!(ids.values().all(|numbers| numbers.len() == 1));
    relay.stop().await;
}
