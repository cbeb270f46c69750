use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_pg::{Republish, SlotOptions, create_slot};
use outbox_test_support::eventually;

use crate::fixture::{Service, connected, drop_slot};

/// The remedy for a lost slot, as docs/postgres.md has it, with Debezium and a consumer that has an inbox.
#[tokio::test]
async fn what_a_dropped_slot_left_out_is_received_once_after_a_replay() {
    let (env, connector) = connected().await;
    let service = Service::start(&env, "all").await;
    let is_over = AtomicBool::new(false);
    let load = async {
        let mut orders = BTreeSet::new();
        while !is_over.load(Ordering::Relaxed) {
            orders.insert(service.order(1).await["id"].to_string());
            // One answer of the service has 500 orders at most, so the load becomes slower if the outage takes longer.
            let pause = 200 + 20 * u64::try_from(orders.len()).unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        orders
    };

    let outage = async {
        service.receives(5).await;
        connector.ask(|rest, name| rest.stop(name)).await;
        let (mut client, pipeline) = (env.client().await, env.pipeline().clone());
        drop_slot(&client, pipeline.slot().as_str()).await;
        let rows = env.rows().await;
        eventually("orders are missed", async || env.rows().await >= rows + 5).await;
        let error = create_slot(&client, &pipeline).await.unwrap_err();
        assert!(error.is_not_ready(), "a deployment does not go on in silence: {error}");

        SlotOptions::default().recreate().patience(Duration::from_secs(300)).create(&client, &pipeline).await.unwrap();
        // Its offsets are positions of the slot that is gone.
        connector.ask(|rest, name| rest.delete_offsets(name)).await;
        connector.ask(|rest, name| rest.resume(name)).await;
        let progress = Republish::missed(pipeline).batch_size(3).run(&mut client, "dropped").await.unwrap();
        assert!(progress.is_finished && progress.events >= 5, "{progress:?}");
        is_over.store(true, Ordering::Relaxed);
    };
    let (orders, ()) = tokio::join!(load, outage);

    let received = service.receives(orders.len()).await;
    let of_orders: Vec<_> = received.iter().map(|event| event["aggregate_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(of_orders.len(), orders.len(), "each event is applied once");
    assert_eq!(of_orders.into_iter().collect::<BTreeSet<_>>(), orders);
    let marked = eventually("some are published twice, with the mark of the replay", async || {
        let records = env.read(env.topic()).await;
        let is_complete = records.len() > orders.len();
        let is_marked = |headers: &str| headers.contains("outbox-replay");
        let marked = records.into_iter().filter(|record| record.header("headers").is_some_and(is_marked));
        Some(marked.collect::<Vec<_>>()).filter(|marked| marked.len() >= 5 && is_complete)
    })
    .await;
    let mut ids: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for record in &marked {
        ids.entry(record.partition).or_default().push(record.header("id").unwrap());
    }
    assert!(ids.values().all(|ids| ids.is_sorted()), "they are in the order in which they were enqueued: {ids:?}");
}
