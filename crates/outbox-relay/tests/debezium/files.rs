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
use crate::fixture::id;
use crate::reader::{PARTITIONS, text_of};
use crate::stand_in::{PREFIX, routed_to};

const PATIENCE: Duration = Duration::from_secs(90);

/// A file, the tables that its lists name and the topics of the rows, separated by spaces, and the values of each row
/// behind its id. The tables take turns.
struct Case {
    file: &'static str,
    table: &'static str,
    columns: &'static str,
    topic: &'static str,
    rows: &'static [&'static str],
}

const CASES: [Case; 22] = [
    Case {
        file: "03-bytea-base64-string",
        table: "public.outbox_event",
        columns: "id bigserial PRIMARY KEY, topic text NOT NULL, aggregate_id uuid NOT NULL, payload bytea NOT NULL,
                  tenant_id uuid NOT NULL, aggregate_type text NOT NULL, event_type varchar(64) NOT NULL",
        topic: "orders",
        rows: &[
            "'orders', '00000000-0000-4000-8000-0000000000aa', '\\xfbff', '00000000-0000-4000-8000-0000000000bb', 'order', 'Made'",
            "'orders', '00000000-0000-4000-8000-0000000000aa', '', '00000000-0000-4000-8000-0000000000bb', 'order', 'Gone'",
        ],
    },
    Case {
        file: "05-tolerance-all-snapshot-never",
        table: "public.outbox_events",
        columns: "id bigserial PRIMARY KEY, aggregatetype varchar(50) NOT NULL, saga_id varchar(36) NOT NULL,
                  event_type varchar(100) NOT NULL, payload text NOT NULL, status varchar(20) NOT NULL DEFAULT 'NEW'",
        topic: "app.events.order",
        rows: &["'order', 's1', 'Made', '{\"a\":1}'", "'order', 's2', 'Paid', ''"],
    },
    Case {
        file: "09-slot-drop-key-as-header",
        table: "public.outbox_event",
        columns: "id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
                  payload jsonb, traceparent varchar(64)",
        topic: "app.order.events",
        rows: &["'order', 'k1', '{\"a\": 1, \"b\": null}', '00-01'", "'order', 'k2', '{\"c\": []}', NULL"],
    },
    Case {
        file: "19-near-recommended-expanded",
        table: "public.outbox",
        columns: "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id varchar(64) NOT NULL,
                  event_type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now()",
        topic: "ledger.events.order",
        rows: &["'order', 'k1', 'Made', '{\"a\": {\"b\": [1, 2]}}'", "'order', 'k2', 'Paid', '{\"a\": 1.5}', '2026-01-02 03:04:05+02'"],
    },
    Case {
        file: "21-route-by-event-type-shell-placeholders",
        table: "public.outbox_event",
        columns: "id uuid PRIMARY KEY, aggregate_id text NOT NULL, event_type text NOT NULL, payload jsonb",
        topic: "OrderMade",
        rows: &["'k1', 'OrderMade', '{\"a\": 1}'", "'k2', 'OrderMade', NULL"],
    },
    Case {
        file: "27-tracestate-suffix-template",
        table: "public.outbox_events",
        columns: "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text,
                  payload json NOT NULL, traceparent text, tracestate text",
        topic: "order.events",
        rows: &["'order', 'k1', 'Made', '{\"a\":1}', '00-01', 'x=y'", "'order', 'k2', NULL, '{\"a\":2}', NULL, NULL"],
    },
    Case {
        file: "29-constant-topic-id-as-second-header",
        table: "public.outbox_integration",
        columns: "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, event_type text NOT NULL,
                  payload jsonb NOT NULL, occurred_on_utc timestamptz NOT NULL DEFAULT now()",
        topic: "order.events",
        rows: &["'order', '00000000-0000-4000-8000-0000000000aa', 'Made', '{\"a\": 1}'"],
    },
    Case {
        file: "31-binary-data-converter-for-key-and-json",
        table: "public.outbox",
        columns: "id uuid PRIMARY KEY, \"channelId\" text NOT NULL, \"aggregateId\" text NOT NULL, payload jsonb,
                  origin text, \"aggregateType\" text, type text, version integer, \"sequenceNumber\" integer,
                  timestamp timestamptz, \"correlationId\" uuid, \"triggeredByUserId\" text, \"triggeredByEventId\" uuid,
                  metadata jsonb",
        topic: "orders",
        rows: &[
            "'orders', 'k1', '{\"a\": \"ä\"}', 'o', 'order', 'Made', 1, 7, '2026-01-02 03:04:05.123456+00', NULL, 'u', NULL, '{\"m\": 1}'",
            "'orders', 'k2', NULL",
        ],
    },
    Case {
        file: "33-rust-service-outbox-log",
        table: "public.outbox_log",
        columns: "event_id uuid PRIMARY KEY, topic text NOT NULL, payload jsonb NOT NULL, tenant_id uuid NOT NULL,
                  contract_version integer NOT NULL DEFAULT 1, schema_hash text NOT NULL DEFAULT ''",
        topic: "orders",
        rows: &["'orders', '{\"a\": 1}', '00000000-0000-4000-8000-0000000000aa'"],
    },
    Case {
        file: "35-anchored-predicate-verify-full-fatal",
        table: "public.outbox_events",
        columns: "id uuid PRIMARY KEY, partition_key text, topic text NOT NULL, message jsonb NOT NULL",
        topic: "orders",
        rows: &["'k1', 'orders', '{\"a\": [true]}'", "NULL, 'orders', '{\"a\": [false]}'"],
    },
    Case {
        file: "37-doubled-key-partition-placement",
        table: "public.outbox",
        columns: "event_id uuid PRIMARY KEY, aggregate_id text NOT NULL, aggregate_type text NOT NULL,
                  event_type text NOT NULL, created_at timestamp NOT NULL, custom_headers jsonb, payload jsonb",
        topic: "App.ProductMgmt.event.product",
        rows: &[
            "'k1', 'product', 'Made', '2026-01-02 03:04:05.123456', '{\"h\": 1}', '{\"a\": 1}'",
            "'k2', 'product', 'Gone', '2026-01-02 03:04:05', NULL, NULL",
        ],
    },
    Case {
        file: "39-schema-qualified-key-is-id-binary",
        table: "cart_schema.outbox",
        columns: "id uuid PRIMARY KEY, destination text NOT NULL, payload bytea NOT NULL",
        topic: "outbox.event.carts",
        rows: &["'carts', '\\x00ff'", "'carts', ''"],
    },
    Case {
        file: "41-quarkus-defaults-no-plugin-no-prefix",
        table: "public.outboxevent",
        columns: "id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
                  type varchar(255) NOT NULL, payload varchar(8000), timestamp timestamp NOT NULL DEFAULT now()",
        topic: "outbox.event.order",
        rows: &["'order', 'k1', 'Made', '{\"a\":1}'", "'order', 'k2', 'Made', NULL"],
    },
    Case {
        file: "45-outbox-service",
        table: "outbox.outbox_message",
        columns: "id uuid PRIMARY KEY, aggregate_type varchar(255) NOT NULL, aggregate_id varchar(255) NOT NULL,
                  event_type varchar(255) NOT NULL, payload json NOT NULL, created_at timestamptz NOT NULL DEFAULT now()",
        topic: "outbox.events.order",
        rows: &["'order', 'k1', 'Made', '{\"a\" : 1}'", "'order', 'k2', 'Made', '[]'"],
    },
    Case {
        file: "47-outbox-per-schema",
        table: "orders.outbox billing.outbox",
        columns: "id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
                  type varchar(255) NOT NULL, payload jsonb NOT NULL",
        topic: "events.order",
        rows: &["'order', 'k', 'Made', '{\"a\": 1}'", "'order', 'k', 'Billed', '{\"a\": 2}'", "'order', 'k', 'Paid', '{}'"],
    },
    Case {
        file: "49-schemas-without-tables",
        table: "messaging.outbox",
        columns: "id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
                  payload text, inbox_note text DEFAULT 'n'",
        topic: "outbox.event.Order",
        rows: &["'Order', 'k1', 'Made', '{\"a\":1}'", "'Order', 'k2', 'Made', ''", "'Order', 'k3', 'Made', NULL"],
    },
    Case {
        file: "51-expressions-with-commas",
        table: "shop.outbox_a shop.outbox_bcd",
        columns: "event_id uuid PRIMARY KEY, kind text NOT NULL, key text NOT NULL, body jsonb, version integer NOT NULL DEFAULT 1",
        topic: "shop.order.v1",
        rows: &["'order', 'k1', '{\"a\": 1}', 3", "'order', 'k2', NULL", "'order', 'k1', '{}', 4"],
    },
    Case {
        file: "53-heartbeats-and-updates",
        table: "public.outbox_events",
        columns: "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,
                  payload jsonb NOT NULL, processed boolean NOT NULL DEFAULT false",
        topic: "events.order",
        rows: &[
            "'order', 'k1', 'Made', '{\"a\": 1}'); UPDATE outbox_events SET processed = (true",
            "'order', 'k2', 'Made', '{\"a\": 2}'",
        ],
    },
    Case {
        file: "55-options-of-a-tutorial",
        table: "public.outbox",
        columns: "id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
                  payload jsonb, tenant uuid, attempt integer DEFAULT 7, urgent boolean, created_at timestamptz, note text DEFAULT 'none'",
        topic: "outbox.event.order",
        rows: &[
            "'order', 'k1', 'Made', '{\"a\": 1}', '00000000-0000-4000-8000-0000000000aa', 1, true, '2026-01-02 03:04:05+02', 'n'",
            "'order', 'k2', 'Made', NULL, NULL, NULL, NULL, NULL, NULL",
        ],
    },
    Case {
        file: "57-a-router-for-each-table",
        table: "sales.outbox returns.outbox_events",
        columns: "id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
                  payload jsonb, channel text, body text, tenant text",
        topic: "sales.order returned.web",
        rows: &[
            "'order', 'k1', 'Made', '{\"a\": 1}', 'web', 'text', 't1'",
            "'order', 'k2', 'Returned', '{\"a\": 1}', 'web', 'a text', 't2'",
            "'order', 'k1', 'Paid', '{}', 'web', 'text', NULL",
            "'order', 'k2', 'Refunded', NULL, 'web', '', NULL",
        ],
    },
    Case {
        file: "59-filtered-tables-and-json-headers",
        table: "public.outbox",
        columns: "id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
                  payload jsonb NOT NULL, attempt integer",
        topic: "shop.order",
        rows: &["'order', 'k1', 'Made', '{\"a\": 1}', 3", "'order', 'k2', 'Made', '{\"a\": 2}', NULL"],
    },
    Case {
        file: "61-months-as-one-logical-table",
        table: "public.outbox_2026_01 public.outbox_2026_02",
        columns: "id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
                  payload jsonb, tenant text, created_at timestamptz NOT NULL DEFAULT now()",
        topic: "outbox.event.order",
        rows: &["'order', 'k1', 'Made', '{\"a\": 1}', 't'", "'order', 'k1', 'Paid', NULL, NULL", "'order', 'k2', 'Made', '{}', 'u'"],
    },
];

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
                let id = logged.record.headers.iter().find_map(|(name, value)| value.as_ref().filter(|_| name == "id"));
                found.entry(text_of(id.unwrap())).or_default().push(logged);
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
