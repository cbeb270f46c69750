use outbox_core::layout::{ColumnValue, Nullability, Row};
use outbox_core::time::OffsetDateTime;
use outbox_core::{ConnectorConfig, Identifier, Pipeline, TableLayout};
use outbox_net::ErrorChain;

use crate::fixture::RelayEnv;

const NULL_PAYLOAD: &str = "INSERT INTO outbox.outbox_message
    (id, aggregate_type, aggregate_id, event_type, payload, created_at)
    VALUES ('00000000-0000-4000-8000-000000000001', 'order', 'agg-0', 'Made', NULL, '2026-01-02 03:04:05')";

#[tokio::test]
async fn a_columns_default_is_in_the_records_as_with_debezium() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.config = fixture
        .config
        .with("value.converter", "org.apache.kafka.connect.json.JsonConverter")
        .with("value.converter.schemas.enable", "true");
    let client = fixture.client().await;
    let default = "ALTER TABLE outbox.outbox_message ALTER COLUMN payload SET DEFAULT '{\"d\": 1}'";
    client.batch_execute(default).await.unwrap();
    let relay = fixture.start();
    client.batch_execute(NULL_PAYLOAD).await.unwrap();
    let found = fixture.records(1).await.remove(0);

    let layout =
        TableLayout::recommended().with_column_metadata("payload", Nullability::Nullable, Some("'{\"d\": 1}'::json"));

    let pipeline = Pipeline::new(fixture.config.clone(), layout.clone()).unwrap();
    let text = |text: &str| ColumnValue::Text(text.into());
    let values = vec![
        ColumnValue::Uuid("00000000-0000-4000-8000-000000000001".parse().unwrap()),
        text("order"),
        text("agg-0"),
        text("Made"),
        ColumnValue::Null,
        ColumnValue::Instant(OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap()),
        ColumnValue::Integer(1),
        text(""),
        text(""),
        text(""),
        text(""),
        text("{}"),
        text(""),
    ];
    let row = Row::new(&layout, values).unwrap();
    let expected = pipeline.encode_lossless(&row).unwrap().0;

    assert_eq!(found.value.as_bytes(), &*expected.value.unwrap());
    assert!(found.value.contains("{\\\"d\\\": 1}"), "{}", found.value);
    relay.stop().await;
}

/// Debezium's classic table, with columns more of which one has a type that no record has, and one is generated.
const CLASSIC: &str = "CREATE SCHEMA inventory;
    CREATE TABLE inventory.outboxevent (
        id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
        type varchar(255) NOT NULL DEFAULT 'Made', payload jsonb, tenant text NOT NULL DEFAULT 'home', box box, twice text GENERATED ALWAYS AS (aggregateid || aggregateid) STORED);
    CREATE PUBLICATION classic FOR TABLE inventory.outboxevent WITH (publish = 'insert')";
const CLASSIC_ROW: &str = "INSERT INTO inventory.outboxevent (id, aggregatetype, aggregateid, payload, box)
    VALUES ('00000000-0000-4000-8000-000000000001', 'order', 'agg-0', '{\"a\": 1}', '((0,0),(1,1))')";

#[tokio::test]
async fn a_table_of_another_make_is_read_by_what_the_catalogue_and_the_router_say() {
    let mut fixture = RelayEnv::new(1).await;
    let client = fixture.client().await;
    client.batch_execute(CLASSIC).await.unwrap();

    // A slot reads nothing from before its publication.
    let again = format!(
        "SELECT pg_drop_replication_slot('{0}'); SELECT pg_create_logical_replication_slot('{0}', 'pgoutput')",
        fixture.name()
    );
    client.batch_execute(&again).await.unwrap();

    let name = |text: &str| Identifier::new(text).unwrap();
    let classic = TableLayout::classic(name("inventory"), name("outboxevent"));
    let config = ConnectorConfig::recommended(&classic)
        .with("publication.name", "classic")
        .with("transforms.outbox.table.fields.additional.placement", "type:header:eventType,tenant:header");

    // What is not of the table is as the fixture has it.
    let is_of_the_bench = |key: &str| {
        key.starts_with("database.")
            || key.starts_with("topic.creation")
            || key == "slot.name"
            || key.ends_with(".replacement")
    };
    let of_the_bench = fixture.config.iter().filter(|(key, _)| is_of_the_bench(key));
    fixture.config = of_the_bench.fold(config, |config, (key, value)| config.with(key, value));
    let relay = fixture.start();
    client.batch_execute(CLASSIC_ROW).await.unwrap();
    let found = fixture.records(1).await.remove(0);
    assert_eq!((&*found.key, &*found.value), ("agg-0", "{\"a\": 1}"));
    assert_eq!((&*found.headers["eventType"], &*found.headers["tenant"]), ("Made", "home"));
    relay.stop().await;
}

#[tokio::test]
async fn tables_that_are_missing_or_do_not_suit_end_the_relay_at_the_start() {
    let mut fixture = RelayEnv::new(1).await;
    let create = "CREATE SCHEMA inventory; CREATE TABLE inventory.a (id uuid); CREATE TABLE inventory.b ()";
    let publish = format!("ALTER PUBLICATION {} ADD TABLE inventory.a", fixture.env.pipeline().publication());
    fixture.client().await.batch_execute(&format!("{create}; {publish}")).await.unwrap();

    for (list, reasons) in [
        ("inventory.missing", ["outbox table inventory.missing does not exist", ""]),
        ("inventory.missing.*", ["no table of the database", "table.include.list"]),
        ("inventory.b", ["does not contain the outbox table inventory.b", "ADD TABLE"]),
        ("inventory.(a|b)", ["inventory.a does not suit the configuration", "the table has no such column"]),
    ] {
        fixture.config = fixture.config.with("table.include.list", list);
        let shown = ErrorChain::new(&fixture.start().outcome().await.unwrap_err()).to_string();
        assert!(reasons.iter().all(|reason| shown.contains(reason)), "{list}: {shown}");
    }
}

/// The rows wait in the slot while the table changes, and the relay reads them by copies of it.
#[tokio::test]
async fn a_backlog_from_before_and_after_changes_of_the_table_is_read() {
    let fixture = RelayEnv::new(1).await;
    let client = fixture.client().await;
    let changes = [
        "ADD COLUMN note text",
        "RENAME COLUMN note TO remark",
        "DROP COLUMN remark",
        "ALTER COLUMN event_type TYPE varchar(90)",
        "ALTER COLUMN created_at TYPE timestamp(3)",
        "ALTER COLUMN payload TYPE jsonb",
    ];
    for (index, change) in changes.iter().chain(&["RESET (fillfactor)"]).enumerate() {
        let row = format!(
            "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
             VALUES (gen_random_uuid(), 'order', 'agg-{index}', 'Made', '{{}}');
             ALTER TABLE outbox.outbox_message {change}"
        );
        client.batch_execute(&row).await.unwrap();
    }

    let relay = fixture.start();
    let found = fixture.records(changes.len() + 1).await;
    let keys: Vec<_> = found.iter().map(|found| &*found.key).collect();
    assert_eq!(keys, ["agg-0", "agg-1", "agg-2", "agg-3", "agg-4", "agg-5", "agg-6"]);
    relay.stop().await;
}
