//! Events of a table whose ids are numbers.

use outbox_core::layout::{Column, ColumnType, EventField as F, Nullability};
use outbox_core::record::{Record, event_identity};
use outbox_core::{ConnectorConfig, Identifier, Pipeline, TableLayout};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{DeadLetterMode, EventState, HandlerError, HandlerResult, Received};

use crate::env::{ConsumerEnv, OrderCreated, Running};

const REPLACEMENT: &str = "transforms.outbox.route.topic.replacement";

fn pipeline(env: &ConsumerEnv) -> Pipeline {
    let column = |field, name, ty| Column::new(field, Identifier::new(name).unwrap(), ty, Nullability::NotNull);
    let columns = vec![
        column(F::Id, "id", ColumnType::Bigint),
        column(F::AggregateType, "aggregate_type", ColumnType::Text),
        column(F::AggregateId, "order_id", ColumnType::Bigint),
        column(F::EventType, "event_type", ColumnType::Enum),
        column(F::Payload, "payload", ColumnType::Jsonb),
    ];
    let recommended = env.pipeline().layout();
    let layout = TableLayout::existing(recommended.schema().clone(), recommended.table().clone(), columns).unwrap();
    let config = ConnectorConfig::recommended(&layout).with(REPLACEMENT, env.config().get(REPLACEMENT).unwrap());
    Pipeline::new(config, layout).unwrap()
}

async fn store(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let envelope = event.envelope();
    let (id, order_id) = (envelope.id_text.clone().ok_or("no number")?, event.event().order_id);
    if order_id == 3 {
        return Err(HandlerError::reject("never"));
    }
    assert_eq!(envelope.aggregate_id.as_deref(), Some(&*order_id.to_string()));
    tx.execute("INSERT INTO effect (order_id, step, note) VALUES ($1, 0, $2)", &[&order_id, &id.as_str()]).await?;
    Ok(())
}

/// Two topics may have the same number as an id, for two events.
#[tokio::test]
async fn an_event_with_a_number_for_its_id_takes_effect_once() {
    let env = ConsumerEnv::with_partitions(1).await;
    let record = |id: &str, order_id: i64| {
        let mut record = Record::new(env.topic());
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned().into()));
        record.key = Some(order_id.to_string().into());
        record.value = Some(format!("{{\"order_id\": {order_id}}}").into());
        record.headers =
            vec![header("id", id), header("aggregate_type", "order"), header("event_type", "OrderCreated")];
        record
    };
    for (id, order_id) in [("9007199254740993", 1), ("42", 2), ("42", 2), ("43", 3), ("9007199254740993", 1), ("44", 4)]
    {
        env.produce_record(0, record(id, order_id)).await;
    }

    let consumer = env.consumer().pipeline(pipeline(&env)).on_failure(DeadLetterMode::ContinueKey);
    let running = Running::start(consumer.on(store).build().unwrap());

    assert_eq!(env.effects(3).await, [1, 2, 4]);
    env.position(0, 6).await;
    let dead = env.held(EventState::Dead, 1).await.remove(0);
    assert_eq!(dead.event_id, event_identity(env.topic(), b"43"));
    assert_ne!(dead.event_id, event_identity("elsewhere", b"43"));
    assert_eq!(env.effects(3).await, [1, 2, 4]);
    running.stop().await.unwrap();
}
