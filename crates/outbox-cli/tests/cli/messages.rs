//! An outbox without a table.

use outbox_core::TableLayout;
use outbox_test_support::TestEnv;

use crate::doctor::findings;
use crate::fixture::{TempFile, order, run, run_at};
use crate::tail::Tail;

async fn environment() -> (TestEnv, TempFile) {
    let env = TestEnv::builder().layout(TableLayout::messages()).slot().topic(1).build().await;
    let file = TempFile::config(&env, "-messages", env.config());
    (env, file)
}

#[tokio::test]
async fn messages_are_shown_as_they_are_committed() {
    let (env, file) = environment().await;
    let model = ["--connector-config", file.path(), "--row-life", "message"];
    let client = env.client().await;
    let mut tail = Tail::start(&env, &[&model[..], &["--source", "table", "--payload"]].concat());
    outbox_test_support::eventually("the temporary slot exists", async || {
        let sql = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = $1 AND confirmed_flush_lsn IS NOT NULL";
        client.query_one(sql, &[&env.name()]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;

    client.batch_execute("SELECT pg_logical_emit_message(true, 'other', '{}')").await.unwrap();
    let event = order(7);
    env.enqueue(std::slice::from_ref(&event)).await;
    let shown = tail.next().await;
    assert_eq!((&shown["id"], &shown["aggregate_id"]), (&event.id().to_string().into(), &"7".into()));
    assert_eq!((&shown["event_type"], &shown["payload"]), (&"OrderCreated".into(), &"{}".into()));
    assert!(shown["commit_lsn"].is_string() && shown["at"].as_str().unwrap().ends_with('Z'), "{shown}");

    let past = run_at(&env, &[&["events", "tail", "--source", "table", "--last", "1"], &model[..]].concat()).await;
    assert!(past.code == 2 && past.stderr.contains("leave out --last"), "{past:?}");
    let topics = run_at(&env, &[&["events", "tail"], &model[..]].concat()).await;
    assert!(topics.code == 2 && topics.stderr.contains("--topic"), "{topics:?}");
}

#[tokio::test]
async fn show_and_verify_say_what_cannot_be_known_without_rows() {
    let (env, file) = environment().await;
    let model = ["--connector-config", file.path(), "--row-life", "message"];
    let event = order(1);
    let id = event.id().to_string();
    let show = [&["events", "show", &id], &model[..]].concat();
    let refused = run_at(&env, &show).await;
    assert!(refused.code == 2 && refused.stderr.contains("--aggregate-type"), "{refused:?}");
    let show = [&show[..], &["--aggregate-type", "order"]].concat();
    let waiting = run_at(&env, &show).await;
    assert!(waiting.text(1).contains("not known") && waiting.stdout.contains("not published yet"), "{waiting:?}");

    let pipeline = env.pipeline();
    for _ in 0..2 {
        env.produce(0, pipeline.encode(&pipeline.row(&event).unwrap()).unwrap()).await;
    }
    let shown = run_at(&env, &[&show[..], &["--output", "json"]].concat()).await.json(0);
    assert_eq!((&shown["row"], shown["records"].as_array().unwrap().len()), (&"unknown".into(), 2));

    let verify = [&["events", "verify", "--topic", env.topic()], &model[..]].concat();
    let verified = run_at(&env, &[&verify[..], &["--output", "json"]].concat()).await.json(0);
    assert_eq!((&verified["records"], &verified["duplicated"]["count"]), (&2.into(), &1.into()));
    assert!(verified["missing"].is_null() && verified["rows"].is_null(), "{verified}");
    assert_eq!(verified["duplicated"]["first"][0]["id"], id.as_str());
    let text = run_at(&env, &verify).await;
    assert!(text.text(0).contains("it cannot be known whether events are missing"), "{text:?}");
}

#[tokio::test]
async fn everything_else_knows_an_outbox_without_a_table() {
    let (env, file) = environment().await;
    let model = ["--connector-config", file.path(), "--row-life", "message"];
    env.enqueue(&[order(1), order(2)]).await;
    run_at(&env, &[&["migrate", "plan"], &model[..]].concat()).await.text(0);
    let (failed, _) = findings(&env, &model, 0).await;
    assert_eq!(failed, [""; 0]);
    let checked = run_at(&env, &[&["doctor"], &model[..]].concat()).await;
    assert!(checked.text(0).contains("without a table: no row shows what was committed"), "{checked:?}");
    let shown = run_at(&env, &[&["slot", "show", env.name(), "--output", "json"], &model[..]].concat()).await.json(0);
    assert_eq!(shown["unpublished"]["count"], 2);
    let replay = run_at(&env, &[&["replay", "run", "again", "--all", "--yes"], &model[..]].concat()).await;
    assert!(replay.code == 2 && !replay.stderr.contains("relation"), "{replay:?}");

    let life = ["--row-life", "message"];
    let roles = run(&[&["roles", "--application", "shop", "--connector", "cdc"], &life[..]].concat(), &[]).await;
    assert!(!roles.text(0).contains("GRANT INSERT") && roles.stdout.contains("REPLICATION"), "{roles:?}");
    let generated = run(&[&["config", "generate", "connector"], &life[..]].concat(), &[]).await;
    assert!(generated.text(0).contains("DecodeLogicalDecodingMessageContent"), "{generated:?}");
}
