use outbox_core::OutboxEvent;
use outbox_test_support::{TestEnv, eventually};

use crate::fixture::{TempFile, order, run_at};

fn record(env: &TestEnv, event: &OutboxEvent) -> outbox_core::record::Record {
    env.pipeline().encode(&env.pipeline().row(event).unwrap()).unwrap()
}

#[tokio::test]
async fn verify_finds_missing_duplicated_and_reordered_events() {
    let env = TestEnv::builder().outbox().topic(1).build().await;
    let file = TempFile::config(&env, "-events", env.config());
    let of_one = |kind: &str| OutboxEvent::builder("order", "7", kind).json("{}").build().unwrap();
    let events = [order(1), order(2), of_one("First"), of_one("Second"), order(3)];
    env.enqueue_each(&events).await;
    let verify = ["events", "verify", "--connector-config", file.path(), "--settled", "0.01", "--output", "json"];
    let verified = run_at(&env, &verify).await.json(1);
    assert_eq!((&verified["rows"], &verified["missing"]["count"]), (&5.into(), &5.into()));

    // The second event of one aggregate comes before its first, the first order twice, and the third not at all.
    for event in [&events[0], &events[3], &events[1], &events[2], &events[0]] {
        env.produce(0, record(&env, event)).await;
    }
    let verified = run_at(&env, &verify).await.json(1);
    let ids = |kind: &str| {
        let first = verified[kind]["first"].as_array().unwrap();
        first.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("missing"), [events[4].id().to_string()]);
    assert_eq!(ids("duplicated"), [events[0].id().to_string()]);
    assert_eq!(ids("reordered"), [events[3].id().to_string()]);
    let text = run_at(&env, &["events", "verify", "--connector-config", file.path(), "--settled", "0.01"]).await;
    assert!(text.text(1).ends_with("5 rows: 1 missing, 1 duplicated, 1 out of order\n"), "{text:?}");

    let third = "SELECT to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM outbox.outbox_message ORDER BY id OFFSET 2";
    let third: String = env.client().await.query(third, &[]).await.unwrap()[0].get(0);
    let before = run_at(&env, &[&verify[..], &["--to", &third]].concat()).await.json(0);
    assert_eq!((&before["rows"], &before["duplicated"]["count"]), (&2.into(), &1.into()));
    let since = run_at(&env, &[&verify[..], &["--from", &third]].concat()).await.json(1);
    assert_eq!((&since["rows"], &since["missing"]["count"]), (&3.into(), &1.into()));
    let both = run_at(&env, &[&verify[..], &["--from", &third, "--last", "60"]].concat()).await;
    assert_eq!(both.code, 2, "{both:?}");

    // A row that no reader can publish does not hide the others.
    let poison = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
                  VALUES (gen_random_uuid(), 'no/topic', '1', 'Made', '{}') RETURNING id::text";
    let poison: String = env.client().await.query_one(poison, &[]).await.unwrap().get(0);
    eventually("the row is settled", async || run_at(&env, &verify).await.json(1)["rows"] == 6).await;
    let verified = run_at(&env, &verify).await.json(1);
    assert_eq!(verified["missing"]["first"][1]["id"], *poison);
    let shown = run_at(&env, &["events", "show", &poison, "--connector-config", file.path()]).await;
    assert!(shown.text(1).contains("cannot name a topic"), "{shown:?}");
}

#[tokio::test]
async fn show_follows_one_event_from_its_row_to_a_dead_letter() {
    let mut stock = crate::consumer::Stock::new().await;
    let env = &stock.env;
    let file = TempFile::config(env, "-events", env.config());
    let event = OutboxEvent::builder("order", "7", "OrderPlaced").json(r#"{"order":7}"#).build().unwrap();
    env.enqueue(std::slice::from_ref(&event)).await;
    let id = event.id().to_string();
    let show = ["events", "show", id.as_str(), "--connector-config", file.path()];
    let shown = run_at(env, &show).await;
    assert!(shown.text(1).contains("no record"), "{shown:?}");

    env.produce(0, record(env, &event)).await;
    stock.start();
    stock.dead(1).await;
    let shown = eventually("the group has it", async || {
        let shown = stock.run(&[&show[..], &["--output", "json"]].concat()).await.json(0);
        if shown["groups"][0]["state"] == "dead" { Ok(shown) } else { Err(shown) }
    })
    .await;
    assert_eq!((&shown["records"][0]["partition"], &shown["records"][0]["offset"]), (&0.into(), &0.into()));
    assert!(shown["groups"][0]["error"].as_str().unwrap().contains("effect"), "{shown}");
    let text = stock.run(&show).await;
    assert!(text.text(0).contains("group stock") && !text.stdout.contains("\"order\""), "{text:?}");
    stock.stop().await;
    assert_eq!(
        stock
            .run(&["events", "show", "01890a5d-ac96-774b-bcce-b302099a8057", "--connector-config", file.path()])
            .await
            .code,
        5
    );
}
