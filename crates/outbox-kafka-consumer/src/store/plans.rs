//! Tests that no statement reads a whole large table.

use deadpool_postgres::tokio_postgres::{Client, SimpleQueryMessage};
use outbox_core::Identifier;
use outbox_test_support::TestEnv;

use super::migrations;
use super::statements::{Sql, Statements};

/// Two groups in two topics with 200,000 known events, 60,000 held ones and 20,000 requests; half of the held events
/// wait behind another one, a tenth are dead letters.
const FILL: &str = "
    INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset)
    SELECT CASE n % 2 WHEN 0 THEN 'g' ELSE 'h' END, 't' || n % 4, n, 100000 FROM generate_series(1, 200) AS n;
    INSERT INTO outbox.consumer_lease
    SELECT consumer_group, topic, partition, gen_random_uuid(), clock_timestamp() FROM outbox.consumer_position;
    INSERT INTO outbox.consumer_inbox
    SELECT CASE n % 2 WHEN 0 THEN 'g' ELSE 'h' END, gen_random_uuid(), CASE n % 50 WHEN 0 THEN 'dead' ELSE 'handled' END,
           n % 200, n, clock_timestamp() - make_interval(secs => n)
    FROM generate_series(1, 200000) AS n;
    INSERT INTO outbox.consumer_held (consumer_group, topic, partition, record_offset, event_id, event_type, state, blocks,
        key_digest, record_key, header_names, header_values, attempts, started, kind, error, last_failed_at, next_attempt_at)
    SELECT CASE n % 2 WHEN 0 THEN 'g' ELSE 'h' END, 't' || n % 4, n % 200, n, gen_random_uuid(), 'Type' || n % 7,
           CASE n % 10 WHEN 0 THEN 'dead' ELSE 'parked' END, true, sha256((n / 2)::text::bytea), 'k', '{}', '{}', 1,
           n % 100 = 1, 'failed', 'no', clock_timestamp() - make_interval(secs => n),
           CASE WHEN n % 2 = 0 AND n % 10 > 0 THEN clock_timestamp() + make_interval(secs => n) END
    FROM generate_series(1, 60000) AS n;
    INSERT INTO outbox.consumer_request (consumer_group, topic, partition, held_id, action, done_at)
    SELECT consumer_group, topic, partition, id, 'retry', CASE n % 100 WHEN 0 THEN NULL ELSE clock_timestamp() END
    FROM (SELECT *, row_number() OVER () AS n FROM outbox.consumer_held LIMIT 20000) AS held;
    ANALYZE outbox.consumer_inbox; ANALYZE outbox.consumer_held; ANALYZE outbox.consumer_request;
    ANALYZE outbox.consumer_position; ANALYZE outbox.consumer_lease";

/// The tables that grow with events.
const LARGE: [&str; 3] = ["consumer_inbox", "consumer_held", "consumer_request"];
/// Removing a group, or partitions that no longer exist, reads all that there is.
const WHOLE: [&str; 2] = ["remove_group", "forget_partitions"];

/// Returns the plan of a statement with these values.
async fn explain(client: &Client, options: &str, sql: &Sql, values: &str) -> String {
    let types: Vec<&str> = sql.types.iter().map(|kind| kind.name()).collect();
    // An array type's name begins with an underscore, which SQL takes as well.
    let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
    let values = if values.is_empty() { String::new() } else { format!("({values})") };
    client.batch_execute(&format!("PREPARE plan {types} AS {}", sql.text)).await.unwrap();
    let rows = client.simple_query(&format!("EXPLAIN {options} EXECUTE plan {values}")).await.unwrap();
    client.batch_execute("DEALLOCATE plan").await.unwrap();
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(|line| line.to_owned() + "\n"),
        _ => None,
    };
    rows.iter().filter_map(row).collect()
}

async fn plan(client: &Client, sql: &Sql) -> String {
    explain(client, "", sql, &vec!["NULL"; sql.types.len()].join(", ")).await
}

/// Returns how many pages a statement reads with these values.
async fn pages(client: &Client, sql: &Sql, values: &str) -> u64 {
    let shown = explain(client, "(ANALYZE, BUFFERS, FORMAT JSON)", sql, values).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let of = |kind: &str| shown[0]["Plan"][kind].as_u64().unwrap();
    of("Shared Hit Blocks") + of("Shared Read Blocks")
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows_with_events() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let schema = Identifier::new("outbox").unwrap();
    migrations(&schema).apply(&mut client).await.unwrap();
    client.batch_execute(FILL).await.unwrap();

    // The generic plan, which a cached statement has after a few calls.
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let statements = Statements::new(&schema);
    let mut bad = Vec::new();
    for (name, sql) in statements.all() {
        let plan = plan(&client, sql).await;
        let scans = LARGE.iter().any(|table| plan.contains(&format!("Seq Scan on {table}")));
        if scans && !WHOLE.contains(&name) {
            bad.push(format!("{name}:\n{plan}"));
        }
    }

    assert!(bad.is_empty(), "{}", bad.join("\n"));
    check_pages(&client, &statements).await;
}

/// Checks that waiting and known events cost nothing. A partition has 300 held events that wait and 100 requests that
/// are done, the inbox 100,000 events of the group.
async fn check_pages(client: &Client, statements: &Statements) {
    let Statements { held, inbox, retention, .. } = statements;
    let forever = "1000000000, 5000";
    let never = format!("'g', '1970-01-01', {forever}");

    for (name, sql, values, most) in [
        ("due", &held.due, "'g', ARRAY[2], ARRAY[0], ARRAY[true]", 60),
        ("forget", &retention.forget, &*never, 40),
        ("forget_requests", &retention.forget_requests, &format!("'g', {forever}"), 40),
        ("expire_dead", &retention.expire_dead, &format!("'g', {forever}"), 40),
        ("blocked", &inbox.blocked, "'g', 't0', ARRAY['no such key'::bytea]", 40),
        ("take_in", &inbox.take_in, "'g', 'handled', 1, ARRAY[gen_random_uuid()], ARRAY[1]", 60),
    ] {
        // The first call reads the catalog as well.
        pages(client, sql, values).await;
        let read = pages(client, sql, values).await;
        assert!(read <= most, "{name} reads {read} pages");
    }
}
