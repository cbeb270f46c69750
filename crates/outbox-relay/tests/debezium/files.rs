//! Configurations of connectors as they are in use (`tests/configs/files`), on tables that suit them: the records of
//! the real Debezium and of the relay.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use outbox_core::ConnectorConfig;
use outbox_core::record::Record;
use outbox_relay::{Relay, RelaySettings};
use outbox_test_support::{TestEnv, stack};
use postgres::{Client, NoTls};
use tokio::sync::oneshot;
use xtask::stack::Stack;

use crate::batch::Logged;
use crate::broker::Broker;
use crate::comparison::compare_relayed;
use crate::configuration::{JSON, router};
use crate::file_cases::{CASES, Case, TYPES};
use crate::fixture::id;
use crate::reader::{PARTITIONS, text_of};
use crate::stand_in::{PREFIX, routed_to};

const PATIENCE: Duration = Duration::from_secs(90);

impl Case {
    fn id(&self, index: usize) -> String {
        if self.columns.starts_with("id bigserial") { (index + 1).to_string() } else { id(index) }
    }
}

#[test]
fn files_in_use_give_the_same_records() {
    // A connector is a burden on Connect, so a few at a time.
    for cases in CASES.chunks(3) {
        thread::scope(|scope| {
            for case in cases {
                scope.spawn(|| run(case));
            }
        });
    }
}

fn run(case: &Case) {
    let started = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let number: String = case.file.chars().take_while(char::is_ascii_digit).collect();
    let name = format!("file{number}_{started}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let env = runtime.block_on(TestEnv::builder().database().build());
    let mut client = Client::connect(env.url(), NoTls).unwrap();
    let config = of_file(case, &name, env.url());
    let publication = config.get("publication.name").unwrap_or("dbz_publication");
    let tables: Vec<&str> = case.table.split(' ').collect();
    client.batch_execute(TYPES).unwrap();
    for table in &tables {
        let (schema, _) = table.split_once('.').unwrap();
        let create = format!("CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {table} ({})", case.columns);
        client.batch_execute(&create).unwrap();
    }
    // What no list includes.
    client.batch_execute("CREATE TABLE other (id integer PRIMARY KEY)").unwrap();
    let create = format!("CREATE PUBLICATION {publication} FOR TABLE {}, other", tables.join(", "));
    client.batch_execute(&create).unwrap();

    let stack = stack();
    let both = Both::start(&stack, &name, &config, &mut client, &runtime);

    for (index, row) in case.rows.iter().enumerate() {
        let table = tables[index % tables.len()];
        let insert =
            format!("INSERT INTO {table} VALUES ('{}', {row}); INSERT INTO other VALUES ({index})", case.id(index));
        client.batch_execute(&insert).unwrap_or_else(|error| panic!("{insert}: {error:?}"));
    }

    let topics =
        |prefix: &str| case.topic.split(' ').map(|topic| format!("{prefix}{name}-{topic}")).collect::<Vec<_>>();
    let topics = [topics(""), topics(PREFIX)];
    let [debezium, relayed] = records(&stack, &topics, case.rows.len(), &name);
    let mut pipeline = Record::new("");
    pipeline.timestamp = config.get(&router("table.field.event.timestamp")).map(|_| 0);
    for index in 0..case.rows.len() {
        let id = case.id(index);
        assert_eq!(debezium[&id].len(), 1, "{}", case.file);
        let difference = compare_relayed(case.file, &id, &pipeline, &debezium[&id][0], &relayed[&id]);
        assert!(difference.is_none(), "{difference:?}");
    }
    both.stop(&stack, &runtime);
    Broker::connect(&stack.kafka_bootstrap()).delete_topics(&topics.concat());
}

/// Returns the file's configuration with the names and addresses of the test.
fn of_file(case: &Case, name: &str, url: &str) -> ConnectorConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/files");
    let json = std::fs::read_to_string(folder.join(format!("{}.json", case.file))).unwrap();
    let mut config = ConnectorConfig::from_json(&json).unwrap().with_database_url(url).unwrap();
    config = routed_to(&format!("{name}-"), &config)
        .with("slot.name", name)
        .with("plugin.name", "pgoutput")
        .without("database.sslmode")
        .without("name")
        .with("producer.override.compression.type", "none")
        .with("topic.creation.default.partitions", PARTITIONS.to_string())
        .with("topic.creation.default.replication.factor", "1");

    // Debezium had this mode until 2.x, and the relay rejects it, too.
    if config.get("snapshot.mode") == Some("never") {
        config = config.with("snapshot.mode", "no_data");
    }

    // A predicate may name the topics of the file's own prefix.
    if config.get("predicates").is_none() {
        config = config.with("topic.prefix", name);
    }
    for converter in ["key.converter", "value.converter"] {
        if config.get(converter).is_none() {
            config = config.with(converter, JSON);
        }
    }
    config
}

/// The connector, and the relay with another slot and other topics.
struct Both {
    connector: String,
    stop: oneshot::Sender<()>,
    relay: tokio::task::JoinHandle<Result<(), outbox_relay::Error>>,
}

impl Both {
    /// Returns when both read their slots.
    fn start(
        stack: &Stack,
        name: &str,
        config: &ConnectorConfig,
        client: &mut Client,
        runtime: &tokio::runtime::Runtime,
    ) -> Self {
        let connect = stack.connect_rest();
        connect.put_config(name, &serde_json::to_value(config).unwrap()).unwrap();
        let slot = format!("{name}_relay");
        client.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&slot]).unwrap();
        let config = routed_to(PREFIX, config).with("slot.name", &*slot);
        let relay = Relay::new(RelaySettings::builder(config, [stack.kafka_bootstrap()]).build().unwrap()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let relay = runtime.spawn(relay.run(async { _ = stopped.await }));
        connect.wait_running(name, PATIENCE).unwrap();

        let sql = "SELECT FROM pg_replication_slots WHERE slot_name = ANY($1) AND active";
        let deadline = Instant::now() + PATIENCE;
        while client.query(sql, &[&[name, &slot].map(str::to_owned).to_vec()]).unwrap().len() < 2 {
            assert!(Instant::now() < deadline, "{name}: {:#}", connect.status(name).unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        Self { connector: name.to_owned(), stop, relay }
    }

    fn stop(self, stack: &Stack, runtime: &tokio::runtime::Runtime) {
        _ = self.stop.send(());
        runtime.block_on(self.relay).unwrap().unwrap();
        stack.connect_rest().delete(&self.connector).unwrap();
    }
}

/// Returns the records of each topic by their events' ids, once there are as many as rows.
fn records(stack: &Stack, topics: &[Vec<String>; 2], rows: usize, name: &str) -> [BTreeMap<String, Vec<Logged>>; 2] {
    let mut broker = Broker::connect(&stack.kafka_bootstrap());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = topics.each_ref().map(|topics| {
            let mut found: BTreeMap<String, Vec<Logged>> = BTreeMap::new();
            let places = topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));

            for logged in places.flat_map(|(topic, partition)| broker.fetch(topic, partition, 0)) {
                let header = |header: &str| {
                    let mut headers = logged.record.headers.iter();
                    headers
                        .find_map(|(name, value)| value.as_ref().filter(|_| name == header))
                        .map(|value| text_of(value))
                };
                // One connector drops the header id.
                let id = header("id").or_else(|| header("message-id")).unwrap();
                found.entry(id).or_default().push(logged);
            }
            found
        });

        if found.iter().all(|found| found.len() >= rows) {
            return found;
        }

        let counts = found.map(|found| found.len());
        let status = stack.connect_rest().status(name).unwrap();
        assert!(Instant::now() < deadline, "{name}: {counts:?} of {rows}: {status:#}");
        thread::sleep(Duration::from_millis(100));
    }
}
