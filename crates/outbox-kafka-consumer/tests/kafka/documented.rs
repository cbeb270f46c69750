//! The SQL of `docs/consumer-operation.md` does what the methods of `Group` next to it do.

use outbox_core::Identifier;
use outbox_kafka_consumer::{EventState, Group, PauseTarget, RequestAction, migrations};
use outbox_test_support::{TestEnv, pool};

const PAGE: &str = include_str!("../../../../docs/consumer-operation.md");

/// Returns the statements of the table's row that begins so, as the page has them.
fn documented(row: &str) -> Vec<&'static str> {
    let found = PAGE.lines().find(|line| line.starts_with(&format!("| {row}"))).unwrap();
    let sql = found.split(" | ").nth(2).unwrap();
    sql.split('`').skip(1).step_by(2).collect()
}

/// Creates the group of the page, with what its statements name: dead letters 1 to 17 and a position.
async fn set_up(env: &TestEnv) -> Group {
    let mut client = env.client().await;
    let schema = Identifier::new("outbox").unwrap();
    migrations(&schema).apply(&mut client).await.unwrap();
    let rows =
        "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset, end_offset, topic_id)
         VALUES ('g', 'outbox.events.order', 0, 40, 42, gen_random_uuid());
         INSERT INTO outbox.consumer_held (consumer_group, topic, partition, record_offset, event_type, state, blocks,
             header_names, header_values, attempts, kind, error)
         SELECT 'g', 'outbox.events.order', 0, n, 'OrderCreated', 'dead', false, '{}', '{}', 1, 'failed',
                CASE WHEN n > 15 THEN 'the gateway is down' ELSE 'no' END
         FROM generate_series(1, 17) AS n";

    client.batch_execute(rows).await.unwrap();
    Group::new(pool(env.url(), 2), &schema, "g")
}

#[tokio::test]
async fn the_documented_sql_does_what_the_methods_do() {
    let env = TestEnv::builder().database().build().await;
    let (group, client) = (set_up(&env).await, env.client().await);

    let [status, ..] = documented("see owner")[..] else { panic!("no statement") };
    let row = client.query_one(status, &[]).await.unwrap();
    let found: (&str, i64, i64, i64) =
        (row.get("topic"), row.get("next_offset"), row.get("end_offset"), row.get("lag"));
    assert_eq!(found, ("outbox.events.order", 40, 42, 2));
    assert_eq!(group.status().await.unwrap()[0].lag(), Some(2));

    let topic = PauseTarget::Topic("outbox.events.order".to_owned());
    client.batch_execute(documented("pause a group")[0]).await.unwrap();
    assert_eq!(group.pauses().await.unwrap()[0].target, topic);
    client.batch_execute(documented("resume")[0]).await.unwrap();
    assert!(group.pauses().await.unwrap().is_empty());

    let listed = client.query(documented("list and count")[0], &[]).await.unwrap();
    let ids: Vec<i64> = listed.iter().map(|row| row.get("id")).collect();
    let by_group = group.list(EventState::Dead, None, 100).await.unwrap();
    assert_eq!(ids, by_group.iter().map(|held| held.id).collect::<Vec<_>>());

    let [retry, discard, ..] = documented("retry or discard one")[..] else { panic!("two statements") };
    assert_eq!(client.execute(retry, &[]).await.unwrap(), 1);
    let [condition, ..] = documented("retry or discard many")[..] else { panic!("a condition") };
    let (insert, _) = retry.split_once(" WHERE ").unwrap();
    let many = format!("{insert} {condition}").replace("'retry'", discard);
    assert_eq!(client.execute(&*many, &[]).await.unwrap(), 2);
    for (id, held, action) in
        [(1, 17, RequestAction::Retry), (2, 16, RequestAction::Discard), (3, 17, RequestAction::Discard)]
    {
        let request = group.request(id).await.unwrap().unwrap();
        assert_eq!((request.held, request.action, request.outcome), (held, action, None));
    }
    let outcome = client.query_one(documented("see what became")[0], &[]).await.unwrap();
    assert_eq!((outcome.get::<_, &str>("action"), outcome.get::<_, Option<&str>>("outcome")), ("discard", None));

    assert_eq!(client.execute(documented("move a position")[0], &[]).await.unwrap(), 1);
    assert_eq!(group.status().await.unwrap()[0].position, 100);

    let tables = "SELECT table_name::text FROM information_schema.columns
                  WHERE table_schema = 'outbox' AND column_name = 'consumer_group'";
    for row in client.query(tables, &[]).await.unwrap() {
        let table: &str = row.get(0);
        assert!(table.starts_with("consumer_"));
        client.batch_execute(&format!("DELETE FROM outbox.{table} WHERE consumer_group = 'g'")).await.unwrap();
    }
    assert!(group.status().await.unwrap().is_empty());
}
