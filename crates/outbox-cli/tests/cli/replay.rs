use outbox_core::OutboxEvent;
use outbox_test_support::eventually;

use crate::consumer::{Placed, Stock};
use crate::fixture::{TempFile, run_at};
use crate::relay::Relay;

fn placed(orders: std::ops::Range<i32>) -> Vec<OutboxEvent> {
    orders.map(|order| OutboxEvent::from_event(&Placed { order }).build().unwrap()).collect()
}

/// The remedy for a lost slot, as docs/cli.md has it: each event takes effect once.
#[tokio::test]
async fn events_that_a_dropped_slot_left_out_take_effect_once_after_a_replay() {
    let mut stock = Stock::new().await;
    stock.repair().await;
    stock.start();
    let file = TempFile::config(&stock.env, "-replay", stock.env.config());
    let relay = Relay::start(&stock.env, file.path());
    stock.env.enqueue_each(&placed(0..3)).await;
    stock.effects(3).await;
    relay.stop().await;

    let name = stock.env.name().to_owned();
    stock.env.slot_becomes("NOT active").await;
    stock.run(&["slot", "drop", &name, "--yes", "--lose-events"]).await.text(0);
    stock.env.enqueue_each(&placed(3..8)).await;
    stock.run(&["slot", "create", &name, "--recreate"]).await.text(0);
    let relay = Relay::start(&stock.env, file.path());
    stock.env.enqueue_each(&placed(8..9)).await;

    let replay = ["replay", "run", "dropped", "--missed", "--connector-config", file.path(), "--output", "json"];
    let counted = stock.run(&[&replay[..], &["--dry-run"]].concat()).await.json(0);
    let remaining = counted["remaining"].as_u64().unwrap();
    assert!(remaining >= 5, "{counted}");
    let unconfirmed = stock.run(&replay).await;
    assert!(unconfirmed.code == 3 && unconfirmed.stderr.contains("--yes"), "{unconfirmed:?}");

    interrupted_after_one_event(&stock, &replay).await;
    let finished = stock.run(&[&replay[..], &["--yes"]].concat()).await.json(0);
    assert_eq!(finished["events"], remaining, "{finished}");
    let listed = stock.run(&["replay", "list", "--connector-config", file.path(), "--output", "json"]).await.json(0);
    assert_eq!(
        (&listed["replays"][0]["name"], &listed["replays"][0]["events"]),
        (&"dropped".into(), &remaining.into())
    );
    assert!(listed["replays"][0]["finished_at"].is_string(), "{listed}");

    stock.effects(9).await;
    let twice = "SELECT count(*) FROM (SELECT order_id FROM effect GROUP BY 1 HAVING count(*) > 1) AS twice";
    let twice: i64 = stock.env.client().await.query_one(twice, &[]).await.unwrap().get(0);
    assert_eq!(twice, 0);
    let other = stock.run(&["replay", "run", "dropped", "--all", "--connector-config", file.path(), "--yes"]).await;
    assert!(other.code == 2 && other.stderr.contains("other rows"), "{other:?}");
    let verify = ["events", "verify", "--connector-config", file.path(), "--settled", "0.01", "--output", "json"];
    eventually("every row has a record", async || {
        let verified: serde_json::Value = serde_json::from_str(&run_at(&stock.env, &verify).await.stdout).unwrap();
        if verified["missing"]["count"] == 0 && verified["rows"] == 9 { Ok(()) } else { Err(verified) }
    })
    .await;
    relay.stop().await;
    stock.stop().await;
}

/// Kills a replay between two batches.
async fn interrupted_after_one_event(stock: &Stock, replay: &[&str]) {
    let mut program = crate::fixture::program(&[replay, &["--yes", "--batch", "1", "--pause", "3600"]].concat())
        .env("DATABASE_URL", stock.env.url())
        .spawn()
        .unwrap();
    let events = "SELECT events FROM outbox.outbox_message_replays WHERE finished_at IS NULL";
    let client = stock.env.client().await;
    eventually("one event is published again", async || {
        client.query_opt(events, &[]).await.unwrap().is_some_and(|row| row.get::<_, i64>(0) == 1)
    })
    .await;
    program.kill().await.unwrap();
}

#[tokio::test]
async fn a_replay_names_its_rows() {
    let stock = Stock::new().await;
    let events = placed(0..3);
    stock.env.enqueue_each(&events).await;
    let file = TempFile::config(&stock.env, "-replay", stock.env.config());
    let count = async |name: &str, options: &[&str]| {
        let run = ["replay", "run", name, "--connector-config", file.path(), "--dry-run", "--output", "json"];
        stock.run(&[&run[..], options].concat()).await.json(0)["remaining"].as_u64().unwrap()
    };
    let id = events[1].id().to_string();
    assert_eq!(count("one", &["--id", &id]).await, 1);
    assert_eq!(count("aggregate", &["--aggregate-type", "order", "--aggregate-id", "2"]).await, 1);
    assert_eq!(count("type", &["--event-type", "OrderPlaced", "--from", "2026-01-01T00:00:00Z"]).await, 3);
    assert_eq!(count("old", &["--to", "2026-01-01T00:00:00Z"]).await, 0);

    let unnamed = stock.run(&["replay", "run", "nothing", "--connector-config", file.path()]).await;
    assert!(unnamed.code == 2 && unnamed.stderr.contains("--missed"), "{unnamed:?}");
    let late = stock.run(&["replay", "run", "late", "--from", "yesterday"]).await;
    assert!(late.code == 2 && late.stderr.contains("2026-05-01T12:00:00Z"), "{late:?}");
}
