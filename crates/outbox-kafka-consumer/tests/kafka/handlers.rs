use outbox_core::record::DecodedPayload;
use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{Handler, HandlerError, HandlerResult, Received, with};

use crate::env::{ConsumerEnv, OrderCreated, Running};

macro_rules! event {
    ($name:ident) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct $name {
            order_id: i64,
        }

        impl DomainEvent for $name {
            const AGGREGATE_TYPE: &'static str = "order";
            const EVENT_TYPE: &'static str = stringify!($name);

            fn aggregate_id(&self) -> String {
                self.order_id.to_string()
            }
        }
    };
}

event!(Paid);
event!(Shipped);
event!(Closed);

async fn store(tx: &Transaction<'_>, order_id: i64, note: &str) -> HandlerResult {
    tx.execute("INSERT INTO effect (order_id, step, note) VALUES ($1, 0, $2)", &[&order_id, &note]).await?;
    Ok(())
}

async fn plain(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    store(tx, event.event().order_id, "plain").await
}

async fn stateful(note: &&'static str, tx: &Transaction<'_>, event: Received<Paid>) -> HandlerResult {
    store(tx, event.event().order_id, note).await
}

async fn raw(tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    let text = event.envelope().payload.as_text().ok_or("a raw event without text")?;
    store(tx, i64::from(event.partition()) + event.offset(), text).await
}

struct Object {
    note: &'static str,
}

async fn raw_with(note: &&'static str, tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    store(tx, event.offset(), note).await
}

impl Handler for Object {
    type Event = Shipped;

    async fn handle<'a>(&'a self, tx: &'a Transaction<'a>, event: Received<Shipped>) -> HandlerResult {
        store(tx, event.into_event().order_id, self.note).await
    }
}

/// Returns a function that returns a boxed future, as a closure without captures has to.
fn boxed<'a>(
    tx: &'a Transaction<'a>,
    event: Received<Closed>,
) -> std::pin::Pin<Box<dyn Future<Output = HandlerResult> + Send + 'a>> {
    Box::pin(async move { store(tx, event.event().order_id, "boxed").await })
}

#[tokio::test]
async fn every_form_of_handler_gets_its_events() {
    let env = ConsumerEnv::with_partitions(1).await;
    let consumer = env
        .consumer()
        .on(plain)
        .on(with("stateful", stateful))
        .on(Object { note: "object" })
        .on(boxed)
        .on_raw("order", "Odd", raw)
        .on_raw("order", "Even", with("raw with state", raw_with))
        .build()
        .unwrap();
    let running = Running::start(consumer);
    env.produce_order(0, 1).await;
    env.produce(0, &OutboxEvent::from_event(&Paid { order_id: 2 }).build().unwrap()).await;
    env.produce(0, &OutboxEvent::from_event(&Shipped { order_id: 3 }).build().unwrap()).await;
    env.produce(0, &OutboxEvent::from_event(&Closed { order_id: 4 }).build().unwrap()).await;

    let odd = OutboxEvent::builder("order", "x", "Odd").json("{\"e\":1e300}").build().unwrap();
    env.produce(0, &odd).await;
    let even = OutboxEvent::builder("order", "x", "Even").build().unwrap();
    env.produce(0, &even).await;
    assert_eq!(env.effects(6).await, [1, 2, 3, 4, 4, 5]);

    let rows = env.client().await.query("SELECT note FROM effect ORDER BY n", &[]).await.unwrap();
    let mut notes: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["boxed", "object", "plain", "raw with state", "stateful", "{\"e\":1e300}"]);
    running.stop().await.unwrap();
}

#[derive(serde::Serialize, serde::Deserialize, DomainEvent)]
#[event(aggregate_type = "order")]
enum OrderEvent {
    Paid(Paid),
    #[event(version = 2)]
    Cancelled {
        #[event(aggregate_id)]
        order_id: i64,
        by: String,
    },
}

async fn matched(tx: &Transaction<'_>, event: Received<OrderEvent>) -> HandlerResult {
    match event.event() {
        OrderEvent::Paid(Paid { order_id }) => store(tx, *order_id, "paid").await,
        OrderEvent::Cancelled { order_id, by } => store(tx, *order_id, by).await,
    }
}

fn cancelled_by_nobody(version: u32, payload: &DecodedPayload) -> Result<OrderEvent, HandlerError> {
    let Paid { order_id } = payload.json()?;
    Ok(OrderEvent::Cancelled { order_id, by: format!("version {version}") })
}

#[tokio::test]
async fn a_handler_matches_on_an_enum_of_events() {
    let env = ConsumerEnv::with_partitions(1).await;
    let consumer = env.consumer().on(matched).on(boxed).upcast_of("Cancelled", cancelled_by_nobody).build().unwrap();
    let running = Running::start(consumer);
    let cancelled = OrderEvent::Cancelled { order_id: 2, by: "customer".into() };
    env.produce(0, &OutboxEvent::from_event(&OrderEvent::Paid(Paid { order_id: 1 })).build().unwrap()).await;
    env.produce(0, &OutboxEvent::from_event(&cancelled).build().unwrap()).await;
    let old = OutboxEvent::builder("order", "3", "Cancelled").json("{\"order_id\":3}").build().unwrap();
    env.produce(0, &old).await;
    env.produce(0, &OutboxEvent::from_event(&Closed { order_id: 4 }).build().unwrap()).await;

    assert_eq!(env.effects(4).await, [1, 2, 3, 4]);
    let rows = env.client().await.query("SELECT note FROM effect ORDER BY order_id", &[]).await.unwrap();
    let notes: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(notes, ["paid", "customer", "version 1", "boxed"]);
    running.stop().await.unwrap();

    let refused = env.consumer().on(matched).upcast_of("Other", cancelled_by_nobody).build().unwrap_err();
    assert!(refused.is_build() && refused.to_string().contains("Other is no event type of OrderEvent"), "{refused}");
}

#[tokio::test]
async fn a_handler_sees_all_that_the_record_told() {
    let env = ConsumerEnv::with_partitions(1).await;
    let event = OutboxEvent::builder("order", "7", "OrderCreated")
        .json("{\"order_id\":7}")
        .schema_version(3)
        .header("tenant", "acme")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .correlation_id("corr")
        .causation_id("cause")
        .build()
        .unwrap();
    let (seen, mut received) = tokio::sync::mpsc::unbounded_channel();
    type Seen = tokio::sync::mpsc::UnboundedSender<Received<OrderCreated>>;
    async fn look(seen: &Seen, _: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        seen.send(event)?;
        Ok(())
    }

    let running = Running::start(env.consumer().on(with(seen, look)).build().unwrap());
    let offset = env.produce(0, &event).await;
    let received = received.recv().await.unwrap();
    assert_eq!(received.event(), &OrderCreated { order_id: 7, step: 0 });
    assert_eq!((received.topic(), received.partition(), received.offset()), (env.topic(), 0, offset));

    let envelope = received.envelope();
    assert_eq!(envelope.id, event.id().as_uuid());
    assert_eq!(envelope.aggregate_type.as_deref(), Some("order"));
    assert_eq!(envelope.aggregate_id.as_deref(), Some("7"));
    assert_eq!(envelope.event_type.as_deref(), Some("OrderCreated"));
    assert_eq!(envelope.payload.as_text(), Some("{\"order_id\":7}"));
    assert_eq!(envelope.schema_version, Some(3));
    assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
    assert_eq!(envelope.headers.get("tenant"), Some("acme"));
    assert_eq!(envelope.traceparent.as_ref(), event.traceparent());
    assert_eq!(envelope.correlation_id.as_deref(), Some("corr"));
    assert_eq!(envelope.causation_id.as_deref(), Some("cause"));

    let lost = event.created_at() - envelope.created_at.unwrap();
    assert!(lost.is_zero() || lost.whole_milliseconds() == 0, "{lost}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_done_outside_of_the_database_happens_before_it_is_recorded_and_in_order() {
    let env = ConsumerEnv::with_partitions(1).await;
    let (seen, mut called) = tokio::sync::mpsc::unbounded_channel();
    type Seen = tokio::sync::mpsc::UnboundedSender<i64>;
    async fn call(seen: &Seen, event: Received<OrderCreated>) -> HandlerResult {
        seen.send(event.event().step)?;
        Ok(())
    }

    let consumer = env.consumer().on_side_effect(with(seen, call)).on(stateless_paid).build().unwrap();
    let event = OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).build().unwrap();
    env.produce(0, &event).await;
    env.produce(0, &event).await;
    env.produce(0, &OutboxEvent::from_event(&Paid { order_id: 1 }).build().unwrap()).await;
    env.produce_step(0, 1, 1).await;

    let running = Running::start(consumer);
    env.position(0, 4).await;
    running.stop().await.unwrap();
    assert_eq!((called.recv().await, called.recv().await, called.recv().await), (Some(0), Some(1), None));
    assert_eq!(env.effects(1).await, [1]);
}

async fn stateless_paid(tx: &Transaction<'_>, event: Received<Paid>) -> HandlerResult {
    store(tx, event.event().order_id, "paid").await
}

#[tokio::test]
async fn older_payloads_are_brought_up_to_date_and_the_rest_goes_to_the_handler_for_all_others() {
    let env = ConsumerEnv::with_partitions(1).await;
    fn today(version: u32, payload: &outbox_core::record::DecodedPayload) -> Result<OrderCreated, HandlerError> {
        #[derive(serde::Deserialize)]
        struct Old {
            number: i64,
        }
        Ok(OrderCreated { order_id: payload.json::<Old>()?.number, step: i64::from(version) })
    }
    async fn created(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        crate::positions::store(tx, event).await
    }
    async fn rest(tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
        store(tx, 0, event.envelope().event_type.as_deref().unwrap_or_default()).await
    }

    let old = OutboxEvent::builder("order", "1", "OrderCreated").json("{\"number\":5}").schema_version(2);
    env.produce(0, &old.build().unwrap()).await;
    env.produce(0, &OutboxEvent::builder("order", "1", "Else").build().unwrap()).await;
    let consumer = env.consumer().on(created).upcast(today).otherwise(rest).build().unwrap();
    let running = Running::start(consumer);

    assert_eq!(env.steps(2).await, [(5, 2), (0, 0)]);
    running.stop().await.unwrap();
}
