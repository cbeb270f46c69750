//! An event that enqueue accepts becomes a record within the limit, as PostgreSQL prints it.

use outbox_core::layout::{ColumnType, ColumnValue, Row};
use outbox_core::{OutboxEvent, TableLayout};

use outbox_test_support::TestEnv;

#[tokio::test]
async fn numbers_that_no_reader_of_the_slot_can_pass_are_refused() {
    let layout = TableLayout::recommended().payload_type(ColumnType::Jsonb).unwrap();
    let env = TestEnv::builder().layout(layout).slot().build().await;
    let mut client = env.client().await;
    let array = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let tx = client.transaction().await.unwrap();
    for (number, count) in [("0e-16000", 10), ("1e300", 8_200), ("1e-300", 8_200)] {
        let event = OutboxEvent::builder("order", "1", "Line").json(array(number, count)).build().unwrap();
        let error = env.outbox().enqueue(&tx, &event).await.unwrap_err();
        assert!(error.is_invalid_event() && error.field() == Some("payload"), "{error}");
        assert!(!error.to_string().contains(number), "{error}");
    }

    assert!(OutboxEvent::builder("order", "1", "Line").json(array("1e131071", 10)).build().is_err());
    tx.commit().await.unwrap();
}

/// The size that enqueue counts is at least the one that the connector's record has, with the payload as it is stored.
#[tokio::test]
async fn what_is_stored_is_never_larger_than_what_was_counted() {
    let array = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let documents = [
        array("1e300", 20),
        array("1.50", 500),
        array("-0.00e3", 500),
        array(r#""\u0001\"\\\/é😀""#, 200),
        array(r#"{"b":1,"a":[true,null],"b":2}"#, 100),
        array("[]", 900),
        format!("{{\"k\" :{}}}", array(" 1 ", 300)),
        "\"x\"".to_owned(),
    ];
    for ty in [ColumnType::Json, ColumnType::Jsonb] {
        let env =
            TestEnv::builder().layout(TableLayout::recommended().payload_type(ty).unwrap()).outbox().build().await;
        let (client, pipeline) = (env.client().await, env.pipeline().clone());
        for document in &documents {
            let event = OutboxEvent::builder("order", "1", "Line").json(document.as_str()).build().unwrap();
            env.enqueue(std::slice::from_ref(&event)).await;
            let sql = "SELECT payload::text FROM outbox.outbox_message WHERE id = $1";
            let stored: String = client.query_one(sql, &[&event.id().as_uuid()]).await.unwrap().get(0);

            let mut values = pipeline.row(&event).unwrap().values().to_vec();
            values[4] = ColumnValue::Text(stored);
            let record = pipeline.encode(&Row::new(pipeline.layout(), values).unwrap()).unwrap();
            let size = record.value.as_ref().unwrap().len();
            let fits = |limit: usize| pipeline.clone().with_record_limit(limit).row(&event).is_ok();
            assert!(!fits(size), "{ty:?} {document:.40}: {size} bytes are in the record");
            assert!(fits(size + 2_500), "{ty:?} {document:.40}: {size} bytes are in the record");
        }
    }
}
