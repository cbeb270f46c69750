use std::process::Stdio;

use outbox_core::OutboxEvent;
use outbox_test_support::{TestEnv, eventually, stack};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::fixture::{TempFile, order, program, run_at};

/// A running `outbox events tail --output json`.
pub(crate) struct Tail {
    lines: Lines<BufReader<ChildStdout>>,
    program: Child,
}

impl Tail {
    pub(crate) fn start(env: &TestEnv, arguments: &[&str]) -> Self {
        let mut program = program(&[&["events", "tail", "--output", "json"], arguments].concat())
            .env("DATABASE_URL", env.url())
            .env("KAFKA_BROKERS", stack().kafka_bootstrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { lines: BufReader::new(program.stdout.take().unwrap()).lines(), program }
    }

    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(std::time::Duration::from_secs(300), self.lines.next_line()).await;
        let line = line.expect("an event arrives").unwrap();
        serde_json::from_str(&line.unwrap_or_else(|| panic!("{:?} has ended", self.program))).unwrap()
    }
}

async fn publish(env: &TestEnv, event: &OutboxEvent) {
    env.produce(0, env.pipeline().encode(&env.pipeline().row(event).unwrap()).unwrap()).await;
}

fn of(aggregate: usize, event_type: &str) -> OutboxEvent {
    OutboxEvent::builder("order", aggregate.to_string(), event_type).json(r#"{"n":1}"#).build().unwrap()
}

#[tokio::test]
async fn records_are_shown_as_they_arrive_from_any_position_and_filtered() {
    let env = TestEnv::builder().outbox().topic(1).build().await;
    let file = TempFile::config(&env, "-tail", env.config());
    let config = ["--connector-config", file.path()];
    let (first, second) = (of(1, "Placed"), of(2, "Placed"));
    publish(&env, &first).await;
    publish(&env, &second).await;

    let mut last = Tail::start(&env, &[&config[..], &["--topic", env.topic(), "--last", "1"]].concat());
    assert_eq!(last.next().await["id"], second.id().to_string().as_str());
    let wanted = ["--aggregate-type", "order", "--aggregate-id", "1", "--event-type", "Paid", "--from-beginning"];
    let mut filtered = Tail::start(&env, &[&config[..], &wanted[..], &["--payload", "--limit", "1"]].concat());
    let paid = of(1, "Paid");
    publish(&env, &of(2, "Paid")).await;
    publish(&env, &paid).await;
    assert_eq!(last.next().await["event_type"], "Paid");
    let shown = filtered.next().await;
    let expected = (&paid.id().to_string().into(), &"{\"n\":1}".into(), &3.into());
    assert_eq!((&shown["id"], &shown["payload"], &shown["offset"]), expected);
    assert!(filtered.program.wait().await.unwrap().success(), "--limit ends it");

    let tail = ["events", "tail", "--connector-config", file.path(), "--topic", env.topic(), "--no-follow"];
    let from = ["--partition", "0", "--offset", "2"];
    let rest = run_at(&env, &[&tail[..], &from].concat()).await;
    let lines: Vec<_> = rest.text(0).lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("[0]@2  order/2  Paid"), "{rest:?}");
    assert!(!rest.stdout.contains("\"n\""), "payloads are shown with --payload only: {rest:?}");

    env.create_topic(&env.topic_of("other"), 1).await;
    let nothing = run_at(&env, &["events", "tail", "--connector-config", file.path()]).await;
    assert!(nothing.code == 2 && nothing.stderr.contains("--topic"), "the table has no rows: {nothing:?}");
    let unknown = run_at(&env, &["events", "tail", "--topic", "no-such-topic"]).await;
    assert_eq!(unknown.code, 5, "{unknown:?}");
}

#[tokio::test]
async fn rows_are_shown_as_they_are_committed_also_if_they_vanish() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-tail", env.config());
    env.enqueue_each(&[order(1), order(2)]).await;
    let arguments = ["--source", "table", "--connector-config", file.path(), "--last", "1", "--payload"];
    let mut tail = Tail::start(&env, &arguments);
    let row = tail.next().await;
    assert_eq!((&row["aggregate_id"], &row["payload"]), (&"2".into(), &"{}".into()));
    assert!(row["table"].as_str().unwrap().contains("outbox_message"), "{row}");

    let vanishing = run_at(&env, &["migrate", "apply", "--row-life", "delete-on-insert"]).await;
    vanishing.text(0);
    env.enqueue(&[order(3)]).await;
    let row = tail.next().await;
    assert_eq!((&row["aggregate_id"], &row["event_type"]), (&"3".into(), &"OrderCreated".into()));
    assert!(row["commit_lsn"].is_string() && row["at"].as_str().unwrap().ends_with('Z'), "{row}");
    assert_eq!(env.rows().await, 2, "the third row has vanished");

    tail.program.kill().await.unwrap();
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND temporary";
    let client = env.client().await;
    eventually("the temporary slot is gone", async || {
        client.query_one(slots, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let wrong = run_at(&env, &["events", "tail", "--source", "table", "--topic", "t"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

/// PostgreSQL waits for open transactions while it creates a slot, and keeps WAL for it meanwhile.
#[tokio::test]
async fn a_slot_that_is_being_created_vanishes_with_its_program() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-tail", env.config());
    let (client, mut open) = (env.client().await, env.client().await);
    let open = open.transaction().await.unwrap();
    open.execute("SELECT pg_current_xact_id()", &[]).await.unwrap();

    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()
        AND slot_name LIKE 'outbox_tail_%'";
    let are = async |expected: i64| match client.query_one(slots, &[]).await.unwrap().get::<_, i64>(0) {
        found if found == expected => Ok(()),
        found => Err(found),
    };
    let mut tail = Tail::start(&env, &["--source", "table", "--connector-config", file.path()]);
    eventually("the slot is being created", async || are(1).await).await;
    tail.program.kill().await.unwrap();
    eventually("the slot has vanished", async || are(0).await).await;
    open.rollback().await.unwrap();
}
