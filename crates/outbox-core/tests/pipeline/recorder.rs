//! The outbox for tests of services, in a service as they are written.

use std::collections::HashMap;

use outbox_core::{Error, Outbox, OutboxEvent, Pipeline, RecordingOutbox};

use crate::fixtures::order;

#[derive(Clone)]
struct Orders<O> {
    outbox: O,
}

impl<O> Orders<O> {
    async fn create<Tx: Send>(&self, tx: Tx, id: &str) -> Result<(), Error>
    where
        O: Outbox<Tx> + Sync,
    {
        let event = OutboxEvent::builder("order", id, "OrderCreated").json("{}").build()?;
        self.outbox.enqueue(tx, &event).await
    }

    async fn ship<Tx: Send>(&self, tx: Tx, ids: &[&str]) -> Result<(), Error>
    where
        O: Outbox<Tx> + Sync,
    {
        let event = |id: &&str| OutboxEvent::builder("order", *id, "OrderShipped").json("{}").build();
        let events = ids.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        self.outbox.enqueue_all(tx, &events).await
    }
}

/// Spawns a handler as a framework spawns it: it has to be `Send` for any outbox and any transaction.
fn spawn<Tx, O>(service: Orders<O>, tx: Tx, id: &'static str) -> tokio::task::JoinHandle<Result<(), Error>>
where
    Tx: Send + 'static,
    O: Outbox<Tx> + Clone + Send + Sync + 'static,
{
    tokio::spawn(async move { service.create(tx, id).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generic_service_runs_in_spawned_tasks() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    let service = Orders { outbox: outbox.clone() };
    let tasks: Vec<_> = ["1", "2", "3"].into_iter().map(|id| spawn(service.clone(), (), id)).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut ids: Vec<_> = outbox.events().iter().map(|event| event.aggregate_id().to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[tokio::test]
async fn events_are_kept_in_their_order_and_shared_by_clones() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    let service = Orders { outbox: outbox.clone() };
    service.create("a transaction", "1").await.unwrap();
    service.ship(7_u8, &["1", "2"]).await.unwrap();
    let events = outbox.clone().events();
    let said: Vec<_> =
        events.iter().map(|event| (event.event_type().as_str(), event.aggregate_id().as_str())).collect();
    assert_eq!(said, [("OrderCreated", "1"), ("OrderShipped", "1"), ("OrderShipped", "2")]);
}

#[tokio::test]
async fn of_several_events_all_are_taken_or_none() {
    let outbox = RecordingOutbox::new(Pipeline::recommended().with_record_limit(2_000));
    let events =
        [order().json("{}").build().unwrap(), order().json(format!("\"{}\"", "x".repeat(2_000))).build().unwrap()];
    let error = outbox.enqueue_all((), &events).await.unwrap_err();
    assert!(error.is_invalid_event());
    assert_eq!(error.field(), Some("payload"));
    assert!(outbox.events().is_empty());
    outbox.enqueue((), &events[0]).await.unwrap();
    assert_eq!(outbox.events(), events[..1]);
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct OrderCreated {
    order_id: u32,
    quantity: u32,
}

impl outbox_core::DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

#[derive(serde::Serialize)]
struct OrderShipped;

impl outbox_core::DomainEvent for OrderShipped {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderShipped";

    fn aggregate_id(&self) -> String {
        "7".into()
    }
}

fn failed(assertion: impl FnOnce()) -> String {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(assertion)).unwrap_err();
    caught.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn an_assertion_is_in_the_services_words_and_tells_what_was_enqueued_instead() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    outbox.assert_nothing_enqueued();
    let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, quantity: 2 }).build().unwrap();
    outbox.enqueue((), &event).await.unwrap();
    outbox.assert_enqueued(&OrderCreated { order_id: 7, quantity: 2 });
    for (order_id, quantity) in [(7, 3), (8, 2)] {
        let message = failed(|| outbox.assert_enqueued(&OrderCreated { order_id, quantity }));
        assert!(message.contains("[OrderCreated of order 7]") && !message.contains("quantity"), "{message}");
    }
    assert!(failed(|| outbox.assert_nothing_enqueued()).contains("OrderCreated of order 7"));
}

#[tokio::test]
async fn events_of_a_type_are_asked_for_by_what_they_say() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    for quantity in [2, 3] {
        let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, quantity }).build().unwrap();
        outbox.enqueue((), &event).await.unwrap();
    }
    let quantities: Vec<_> = outbox.enqueued::<OrderCreated>().iter().map(|order| order.quantity).collect();
    assert_eq!(quantities, [2, 3], "in order");
    outbox.assert_enqueued_where::<OrderCreated>(|order| order.quantity == 3);
    outbox.assert_not_enqueued::<OrderShipped>();
    let message = failed(|| outbox.assert_enqueued_where::<OrderCreated>(|order| order.quantity == 4));
    assert!(
        message.contains("no such OrderCreated of order") && message.contains("order 7, OrderCreated"),
        "{message}"
    );
    assert!(failed(|| outbox.assert_not_enqueued::<OrderCreated>()).contains("OrderCreated of order was enqueued"));

    let other = OutboxEvent::builder("order", "7", "OrderCreated").json("[\"secret\"]").build().unwrap();
    outbox.enqueue((), &other).await.unwrap();
    let message = failed(|| drop(outbox.enqueued::<OrderCreated>()));
    assert!(message.contains("is not the JSON of") && !message.contains("secret"), "{message}");
}

#[derive(serde::Serialize)]
struct StockCounted {
    counts: Vec<HashMap<String, u128>>,
}

impl outbox_core::DomainEvent for StockCounted {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "StockCounted";

    fn aggregate_id(&self) -> String {
        "7".into()
    }
}

/// Two maps with the same members iterate in different orders.
#[tokio::test]
async fn the_order_in_which_a_map_writes_its_members_makes_no_difference() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    let counted = |last: u128| StockCounted { counts: vec![(0..20).map(|n| (format!("k{n}"), last + n)).collect()] };
    outbox.enqueue((), &OutboxEvent::from_event(&counted(1 << 70)).build().unwrap()).await.unwrap();
    outbox.assert_enqueued(&counted(1 << 70));
    // No `f64` holds the difference.
    assert!(failed(|| outbox.assert_enqueued(&counted((1 << 70) + 1))).contains("was not enqueued"));
}
