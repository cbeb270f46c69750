mod left_out;
mod partitions;

use std::error::Error as _;

use outbox_pg::tokio_postgres::Client;
use outbox_relay::{Error, Mode, Readiness};
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::Postgres;

use crate::fixture::{Found, RelayEnv, Running};

const TABLE: &str = "outbox.outbox_message";

impl RelayEnv {
    async fn run(&self, sql: &str) {
        self.client()
            .await
            .batch_execute(&sql.replace('@', &self.env.pipeline().publication().to_string()))
            .await
            .unwrap();
    }

    /// Returns the slot's confirmed position, as a number.
    async fn confirmed_lsn(&self) -> i64 {
        let sql = "SELECT (confirmed_flush_lsn - '0/0')::int8 FROM pg_replication_slots WHERE slot_name = $1";
        self.client().await.query_one(sql, &[&self.name()]).await.unwrap().get(0)
    }

    async fn end_of_wal(&self) -> i64 {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

impl Running {
    async fn is_live(&self) {
        eventually("the relay is live", async || self.status.mode() == Mode::Live).await;
    }

    async fn is_ready(&self) {
        eventually("the relay is ready", async || self.status.readiness().is_ready()).await;
    }

    async fn is_not_ready(&self, reason: &str) {
        eventually(format!("the relay is not ready: {reason}"), async || match self.status.readiness() {
            Readiness::NotReady(found) if found.contains(reason) => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Up to version 17 PostgreSQL reports it as an error, and later as a warning that settings can turn off.
#[tokio::test]
async fn a_row_that_was_written_without_its_publication_stops_the_relay() {
    let server = Postgres::builder().downloaded().setting("wal_level", "logical").start().await.unwrap();
    for builder in [TestEnv::builder(), TestEnv::builder().postgres(server.url())] {
        let fixture = RelayEnv::at(builder.kafka(), 1).await;
        fixture.run(&format!("ALTER DATABASE {} SET client_min_messages = error", fixture.name())).await;
        let relay = fixture.start();
        relay.is_live().await;
        fixture.enqueue_each(1, 0..1).await;
        fixture.confirmed().await;

        let create = format!("CREATE PUBLICATION @ FOR TABLE {TABLE} WITH (publish = 'insert')");
        fixture.run("DROP PUBLICATION @").await;
        fixture.enqueue_each(1, 1..2).await;
        let written = fixture.end_of_wal().await;
        fixture.run(&create).await;
        let stopped = chain(&relay.outcome().await.unwrap_err());
        assert!(stopped.contains("publication") && stopped.contains("does not exist"), "{stopped}");

        // The next one reads it from a copy of the slot.
        let stopped = chain(&fixture.start().outcome().await.unwrap_err());
        assert!(stopped.contains("publication") && stopped.contains("does not exist"), "{stopped}");
        assert!(fixture.confirmed_lsn().await < written);
    }
}

const SECOND: &str = "CREATE SCHEMA billing;
    CREATE TABLE billing.outbox_message (LIKE outbox.outbox_message INCLUDING ALL)";

/// Returns a statement that stores a row of the second table.
fn into_second(number: u32) -> String {
    format!(
        "INSERT INTO billing.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
         VALUES (gen_random_uuid(), 'order', 'b', 'Made', '{number}')"
    )
}

fn values(records: &[Found]) -> Vec<&str> {
    records.iter().map(|record| &*record.value).collect()
}

#[tokio::test]
async fn several_tables_behind_one_connector_arrive_in_the_order_of_commits() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.run(SECOND).await;
    fixture.run("ALTER PUBLICATION @ ADD TABLE billing.outbox_message").await;

    let mut expected = Vec::new();
    for (number, list) in (0..).step_by(3).zip([
        "outbox.outbox_message,billing.outbox_message",
        r"(OUTBOX|billing)\.outbox_message",
        r".*\.outbox_message",
    ]) {
        fixture.config = fixture.config.with("table.include.list", list);
        let relay = fixture.start();
        relay.is_live().await;
        let own = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
            VALUES (gen_random_uuid(), 'order', 'b', 'Made',";
        let (first, last) = (into_second(number), into_second(number + 2));
        fixture.run(&format!("BEGIN; {first}; {own} '{}'); {last}; COMMIT", number + 1)).await;
        expected.extend((number..number + 3).map(|number| number.to_string()));
        let records = fixture.records(expected.len()).await;
        assert_eq!(values(&records), expected, "{list}");
        // The place among the rows of all tables in the transaction.
        let places =
            records[expected.len() - 3..].iter().map(|record| record.headers["outbox.position"].rsplit('/').next());
        assert_eq!(places.collect::<Option<Vec<_>>>().unwrap(), ["0", "1", "2"]);
        // The next relay finds them in the topic.
        relay.kill().await;
    }

    let relay = fixture.start();
    fixture.confirmed().await;

    assert_eq!(values(&fixture.records(expected.len()).await), expected);
    relay.stop().await;

    // A list that names its own table ignores the other one.
    fixture.config = fixture.config.with("table.include.list", r"outbox\.outbox_message");
    let relay = fixture.start();
    fixture.run(&into_second(9)).await;
    fixture.enqueue_each(1, 10..11).await;
    assert_eq!(fixture.records(10).await.last().unwrap().value, "10");
    fixture.confirmed().await;
    let ignored = "outbox_relay_ignored_changes_total{kind=\"other_table\"} 1";
    assert!(relay.status.prometheus_text().lines().any(|line| line == ignored), "{}", relay.status.prometheus_text());
    relay.stop().await;
}

#[tokio::test]
async fn an_included_table_that_comes_later_is_read_or_the_relay_is_not_ready() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.config = fixture.config.with("table.include.list", r".*\.outbox_message");
    let relay = fixture.start();
    relay.is_live().await;
    // It is published at once.
    let create = format!("{SECOND}; ALTER PUBLICATION @ ADD TABLE billing.outbox_message; {}", into_second(1));
    fixture.run(&format!("BEGIN; {create}; COMMIT")).await;
    assert_eq!(values(&fixture.records(1).await), ["1"]);
    relay.is_ready().await;

    // It is not published any more, and then it is.
    fixture.run("ALTER PUBLICATION @ DROP TABLE billing.outbox_message").await;
    relay.is_not_ready("does not contain the outbox table billing.outbox_message").await;
    fixture.run("ALTER PUBLICATION @ ADD TABLE billing.outbox_message").await;
    relay.is_ready().await;
    fixture.run(&into_second(2)).await;
    assert_eq!(values(&fixture.records(2).await), ["1", "2"]);

    // It goes.
    fixture.run("DROP TABLE billing.outbox_message").await;
    fixture.enqueue_each(1, 3..4).await;
    fixture.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;

    // It comes without being published, and rows of a table that is gone are read as the WAL describes them.
    fixture.run(&SECOND.replace("CREATE SCHEMA billing;", "")).await;
    let relay = fixture.start();
    relay.is_not_ready("billing.outbox_message").await;
    fixture.enqueue_each(1, 4..5).await;
    assert_eq!(values(&fixture.records(4).await), ["1", "2", "3", "4"]);
    relay.stop().await;
    fixture.run("ALTER PUBLICATION @ ADD TABLE billing.outbox_message").await;
    fixture.run(&into_second(5)).await;
    fixture.run("DROP TABLE billing.outbox_message").await;
    let relay = fixture.start();
    assert_eq!(values(&fixture.records(5).await), ["1", "2", "3", "4", "5"]);
    fixture.confirmed().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_change_that_debezium_would_write_without_the_router_stops_the_relay() {
    let mut fixture = RelayEnv::new(1).await;
    let topic = format!("{}\\.outbox\\..*", fixture.config.get("topic.prefix").unwrap());
    fixture.config = fixture
        .config
        .with("table.include.list", r".*\.outbox_message")
        .with("predicates", "outbox")
        .with("predicates.outbox.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches")
        .with("predicates.outbox.pattern", topic)
        .with("transforms.outbox.predicate", "outbox");
    fixture.run(SECOND).await;

    let relay = fixture.start();
    relay.is_ready().await;
    fixture.run("ALTER PUBLICATION @ ADD TABLE billing.outbox_message").await;
    fixture.run(&into_second(0)).await;
    let written = fixture.end_of_wal().await;

    for relay in [relay, fixture.start()] {
        let stopped = chain(&relay.outcome().await.unwrap_err());
        assert!(stopped.contains("billing.outbox_message") && stopped.contains("predicate"), "{stopped}");
    }
    assert!(fixture.confirmed_lsn().await < written);
}

/// Debezium's task fails at such a row.
#[tokio::test]
async fn a_row_of_an_included_table_that_is_no_outbox_is_poison() {
    let mut fixture = RelayEnv::new(1).await;
    let dead = fixture.topic.replace(".order", ".dead");
    fixture.create_topic(&dead).await;
    fixture.config = fixture.config.without("table.include.list");
    fixture.run("CREATE TABLE outbox.notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), note text)").await;
    fixture.run("ALTER PUBLICATION @ ADD TABLE outbox.notes").await;
    let relay = fixture.start();
    relay.is_ready().await;
    fixture.enqueue_each(1, 0..1).await;
    fixture.run("INSERT INTO outbox.notes (note) VALUES ('n')").await;
    let stopped = relay.outcome().await.unwrap_err();
    assert!(stopped.is_poison(), "{stopped:?}");

    fixture.dead_letters = Some(dead.clone());
    let relay = fixture.start();
    let letters = fixture.records_of(&dead, 1).await;
    assert!(letters[0].value.contains("\"note\":\"n\""), "{letters:?}");
    fixture.confirmed().await;
    fixture.check(&fixture.records(1).await, 1);
    relay.stop().await;
}

/// The change, a word of the reason, and the repair.
type Change = (&'static str, &'static str, &'static str);

const UNPUBLISHED: [Change; 4] = [
    (
        "ALTER PUBLICATION @ SET (publish = 'update')",
        "publish = 'insert'",
        "ALTER PUBLICATION @ SET (publish = 'insert')",
    ),
    (
        "ALTER PUBLICATION @ DROP TABLE outbox.outbox_message",
        "ADD TABLE",
        "ALTER PUBLICATION @ ADD TABLE outbox.outbox_message",
    ),
    (
        "ALTER TABLE outbox.outbox_message RENAME TO elsewhere",
        "does not exist",
        "ALTER TABLE outbox.elsewhere RENAME TO outbox_message",
    ),
    (
        "ALTER TABLE outbox.outbox_message SET SCHEMA public",
        "does not exist",
        "ALTER TABLE public.outbox_message SET SCHEMA outbox",
    ),
];

/// From PostgreSQL 15 on.
const PARTLY_PUBLISHED: [Change; 2] = [
    (
        "ALTER PUBLICATION @ SET TABLE outbox.outbox_message WHERE (schema_version > 1)",
        "row filter",
        "ALTER PUBLICATION @ SET TABLE outbox.outbox_message",
    ),
    (
        "ALTER PUBLICATION @ SET TABLE outbox.outbox_message (id, payload)",
        "aggregate_id",
        "ALTER PUBLICATION @ SET TABLE outbox.outbox_message",
    ),
];

/// Returns the changes that the server knows.
async fn changes(client: &Client) -> Vec<Change> {
    let sql = "SELECT current_setting('server_version_num')::int >= 150000";
    let partly: &[Change] = match client.query_one(sql, &[]).await.unwrap().get(0) {
        true => &PARTLY_PUBLISHED,
        false => &[],
    };
    [&UNPUBLISHED, partly].concat()
}

#[tokio::test]
async fn a_publication_that_leaves_out_rows_of_the_table_is_refused_at_the_start() {
    let fixture = RelayEnv::new(1).await;
    let before = fixture.confirmed_lsn().await;
    for (change, reason, repair) in changes(&fixture.client().await).await {
        fixture.run(change).await;
        let refused = chain(&fixture.start().outcome().await.unwrap_err());
        assert!(refused.contains(reason), "{change}: {refused}");
        fixture.run(repair).await;
    }
    assert_eq!(fixture.confirmed_lsn().await, before);
    fixture.run("DROP TABLE outbox.outbox_message").await;
    let refused = chain(&fixture.start().outcome().await.unwrap_err());
    assert!(refused.contains("does not exist"), "{refused}");
}

#[tokio::test]
async fn nothing_is_confirmed_while_the_publication_leaves_out_rows_of_the_table() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start();
    let changes = changes(&fixture.client().await).await;
    let count = changes.len();

    for (number, (change, reason, repair)) in (0..).zip(changes) {
        fixture.enqueue_each(1, number..number + 1).await;
        fixture.confirmed().await;

        fixture.run(change).await;
        let changed = fixture.end_of_wal().await;
        // The WAL that others write is decoded as well.
        fixture.run("CREATE TABLE other (); DROP TABLE other").await;
        relay.is_not_ready(reason).await;
        assert!(fixture.confirmed_lsn().await <= changed, "{change}");
        fixture.run(repair).await;
        relay.is_ready().await;
    }

    fixture.confirmed().await;
    fixture.check(&fixture.records(count).await, count as i64);
    relay.stop().await;
}

/// A transaction that has changed the publication and not ended may commit before what is confirmed next.
#[tokio::test]
async fn nothing_is_confirmed_while_a_change_of_the_publication_is_under_way() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start();
    fixture.enqueue_each(1, 0..1).await;
    fixture.confirmed().await;
    let mut client = fixture.client().await;
    let publication = fixture.env.pipeline().publication().to_string();
    let tx = client.transaction().await.unwrap();
    tx.batch_execute(&format!("ALTER PUBLICATION {publication} SET (publish = 'update')")).await.unwrap();

    let changed = fixture.end_of_wal().await;
    fixture.enqueue_each(1, 1..3).await;
    assert_eq!(fixture.records(3).await.len(), 3);

    relay.is_not_ready("transaction").await;
    assert!(fixture.confirmed_lsn().await <= changed);
    tx.rollback().await.unwrap();
    fixture.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;
}

/// Rows are known by the table that they are in, and not by the name that it had at the time.
#[tokio::test]
async fn rows_of_a_table_that_was_renamed_for_a_while_arrive() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start();

    fixture.enqueue_each(1, 0..1).await;
    fixture.records(1).await;
    fixture.run("ALTER TABLE outbox.outbox_message RENAME TO elsewhere").await;
    fixture
        .run(
            "INSERT INTO outbox.elsewhere (id, aggregate_type, aggregate_id, event_type, payload)
         VALUES (gen_random_uuid(), 'order', 'agg-0', 'Numbered', '1')",
        )
        .await;

    relay.is_not_ready("does not exist").await;
    fixture.run("ALTER TABLE outbox.elsewhere RENAME TO outbox_message").await;
    fixture.enqueue_each(1, 2..3).await;
    fixture.check(&fixture.records(3).await, 3);
    fixture.confirmed().await;
    relay.is_ready().await;
    relay.stop().await;
}

#[tokio::test]
async fn changes_that_are_no_events_are_counted_by_kind() {
    let fixture = RelayEnv::new(1).await;
    fixture.run("ALTER PUBLICATION @ SET (publish = 'insert, update, delete, truncate')").await;
    let relay = fixture.start();
    fixture.enqueue_each(1, 0..2).await;
    fixture.run("UPDATE outbox.outbox_message SET schema_version = 2; DELETE FROM outbox.outbox_message; TRUNCATE outbox.outbox_message").await;
    fixture.confirmed().await;
    for (kind, count) in [("update", 2), ("delete", 2), ("truncate", 1), ("other_table", 0), ("message", 0)] {
        let line = format!("outbox_relay_ignored_changes_total{{kind=\"{kind}\"}} {count}");
        eventually(&line, async || relay.status.prometheus_text().lines().any(|found| found == line)).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_fatal_update_stops_the_relay_after_all_before_it_is_confirmed() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.run("ALTER PUBLICATION @ SET (publish = 'insert, update')").await;
    let behavior = "transforms.outbox.table.op.invalid.behavior";
    fixture.config = fixture.config.with(behavior, "fatal").with("skipped.operations", "t");
    let relay = fixture.start();
    relay.is_live().await;
    fixture.enqueue_each(1, 0..2).await;
    let before = fixture.end_of_wal().await;
    fixture.enqueue_each(1, 2..3).await;
    fixture
        .run(
            "BEGIN; INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
             VALUES (gen_random_uuid(), 'order', 'agg-0', 'Numbered', '3');
             UPDATE outbox.outbox_message SET schema_version = 2; COMMIT",
        )
        .await;

    let after = fixture.end_of_wal().await;
    let stopped = relay.outcome().await.unwrap_err();
    assert!(!stopped.is_poison(), "{stopped:?}");

    let stopped = chain(&stopped);
    for part in ["committed at", "outbox.outbox_message", "table.op.invalid.behavior"] {
        assert!(stopped.contains(part), "{stopped}");
    }

    // As with Debezium, the row before the update is there. It is not written again.
    fixture.check(&fixture.records(4).await, 4);
    let confirmed = fixture.confirmed_lsn().await;
    assert!(before <= confirmed && confirmed < after, "{before} {confirmed} {after}");
    fixture.start().outcome().await.unwrap_err();

    fixture.config = fixture.config.with(behavior, "warn");
    let relay = fixture.start();
    fixture.confirmed().await;
    fixture.enqueue_each(1, 4..5).await;
    fixture.check(&fixture.records(5).await, 5);
    relay.stop().await;
}

/// The rows before a row that can never be written.
#[tokio::test]
async fn a_poison_row_stops_the_relay_after_all_before_it_is_confirmed() {
    let fixture = RelayEnv::new(1).await;
    fixture.enqueue_each(1, 0..2).await;
    let before = fixture.end_of_wal().await;
    fixture.enqueue_each(1, 2..3).await;
    let sql = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload, created_at)
               VALUES (gen_random_uuid(), 'order', 'agg-0', 'Late', '1', 'infinity')";
    fixture.run(sql).await;
    assert!(fixture.start().outcome().await.unwrap_err().is_poison());
    fixture.check(&fixture.records(3).await, 3);
    let confirmed = fixture.confirmed_lsn().await;
    assert!(before <= confirmed && confirmed < fixture.end_of_wal().await);
}
