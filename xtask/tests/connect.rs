//! A Kafka Connect worker that belongs to a test, with exactly-once support.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use postgres::{Client, Config, NoTls};
use serde_json::{Value, json};
use xtask::stack::{KafkaCluster, NewTopic, Stack, TestDatabase};

const CONNECTOR: &str = "exactly-once";
const TOPIC: &str = "events";
const START: Duration = Duration::from_secs(300);
/// Rows before the kill, while the worker is down, and after it.
const ROWS: i32 = 3000;

fn connector(database: &TestDatabase) -> Value {
    let config: Config = database.url().parse().unwrap();
    let password = String::from_utf8(config.get_password().unwrap().to_vec()).unwrap();
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "exactly.once.support": "required",
        "database.hostname": "127.0.0.1",
        "database.port": config.get_ports()[0].to_string(),
        "database.user": config.get_user().unwrap(),
        "database.password": password,
        "database.dbname": database.name(),
        "topic.prefix": database.name(),
        "plugin.name": "pgoutput",
        "slot.name": database.name(),
        "publication.name": "outbox",
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "tombstones.on.delete": "false",
        // Small batches, so that the kill meets one that is under way.
        "max.batch.size": "20",
        "max.queue.size": "40",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.by.field": "topic",
        "transforms.outbox.route.topic.replacement": "${routedByValue}",
        "transforms.outbox.table.field.event.key": "key",
    })
}

fn insert(client: &mut Client, numbers: std::ops::Range<i32>) {
    let insert = client.prepare("INSERT INTO message VALUES ($1, 'events', 'key', $2)").unwrap();
    for number in numbers {
        client.execute(&insert, &[&number, &number.to_string()]).unwrap();
    }
}

/// Returns what a reader of committed records reads from the topic's start until nothing comes any more.
fn committed(stack: &Stack, cluster: &KafkaCluster) -> Vec<String> {
    let mut tool = stack.kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer").unwrap();
    tool.args(["--bootstrap-server", &cluster.bootstrap(), "--topic", TOPIC, "--from-beginning"]);
    let output = tool.args(["--isolation-level", "read_committed", "--timeout-ms", "5000"]).output().unwrap();
    // The time-out, which is the only way to its end, is an error to the tool.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || errors.contains("TimeoutException"), "{errors}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn debezium_writes_each_record_exactly_once_although_its_worker_is_killed() {
    let stack = Stack::connect().unwrap();
    let cluster = stack.kafka_cluster().unwrap().brokers(1).start().unwrap();
    cluster.create_topic(&NewTopic::new(TOPIC)).unwrap();
    let connect = stack.own_connect(&cluster).unwrap();
    let database = stack.test_database().unwrap();
    let mut client = Client::connect(database.url(), NoTls).unwrap();
    client
        .batch_execute(
            "CREATE TABLE message (id integer PRIMARY KEY, topic text, key text, payload text);
             CREATE PUBLICATION outbox FOR TABLE message WITH (publish = 'insert')",
        )
        .unwrap();
    connect.rest().put_config(CONNECTOR, &connector(&database)).unwrap();
    connect.rest().wait_running(CONNECTOR, START).unwrap();

    insert(&mut client, 0..ROWS);
    let killed = connect.pid().unwrap();
    connect.kill();
    insert(&mut client, ROWS..2 * ROWS);
    connect.start().unwrap();
    assert_ne!(connect.pid(), Some(killed));
    connect.rest().wait_running(CONNECTOR, START).unwrap();
    insert(&mut client, 2 * ROWS..3 * ROWS);

    let last = (3 * ROWS - 1).to_string();
    let mut read = committed(&stack, &cluster);
    while !read.contains(&last) {
        read = committed(&stack, &cluster);
    }
    assert_eq!(read, (0..3 * ROWS).map(|number| number.to_string()).collect::<Vec<_>>());
    connect.rest().delete(CONNECTOR).unwrap();
}
