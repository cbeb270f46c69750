use outbox_core::time::OffsetDateTime;
use outbox_core::{ColumnValue, Nullability, Pipeline, Row, TableLayout};

use crate::bench::Bench;

const NULL_PAYLOAD: &str = "INSERT INTO outbox.outbox_message
    (id, aggregate_type, aggregate_id, event_type, payload, created_at)
    VALUES ('00000000-0000-4000-8000-000000000001', 'order', 'agg-0', 'Made', NULL, '2026-01-02 03:04:05')";

/// The catalogue has the default, and the layout that the relay was given has not.
#[tokio::test]
async fn a_columns_default_is_in_the_records_as_with_debezium() {
    let mut bench = Bench::new(1).await;
    bench.config = bench
        .config
        .with("value.converter", "org.apache.kafka.connect.json.JsonConverter")
        .with("value.converter.schemas.enable", "true");
    let client = bench.client().await;
    let default = "ALTER TABLE outbox.outbox_message ALTER COLUMN payload SET DEFAULT '{\"d\": 1}'";
    client.batch_execute(default).await.unwrap();
    let relay = bench.start();
    client.batch_execute(NULL_PAYLOAD).await.unwrap();
    let found = bench.records(1).await.remove(0);

    let layout = TableLayout::recommended().told("payload", Nullability::Nullable, Some("'{\"d\": 1}'::json"));
    let pipeline = Pipeline::new(bench.config.clone(), layout.clone()).unwrap();
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
    ];
    let expected = pipeline.encode_lossless(&Row::new(&layout, values).unwrap()).unwrap().into_parts().0;
    assert_eq!(found.value.as_bytes(), &*expected.value.unwrap());
    assert!(found.value.contains("{\\\"d\\\": 1}"), "{}", found.value);
    relay.stop().await;
    bench.remove_topic().await;
}
