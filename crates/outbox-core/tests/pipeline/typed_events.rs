//! Events by `#[derive(DomainEvent)]`: what they become, and what is read back.

use outbox_core::record::{Decoded, DecodedEvent};
use outbox_core::{DomainEvent, IncomingEvent, Outbox, OutboxEvent, Payload, Pipeline, RecordingOutbox};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DomainEvent, Serialize, Deserialize)]
#[event(aggregate_type = "order", event_type = "OrderCreated", version = 3)]
struct OrderCreated {
    #[event(aggregate_id)]
    order_id: u64,
    #[serde(rename = "qty")]
    quantity: u32,
}

#[derive(Clone, Debug, PartialEq, DomainEvent, Serialize, Deserialize)]
#[event(aggregate_type = "order")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum OrderEvent {
    Created(OrderCreated),
    #[event(event_type = "OrderCancelled", version = 2)]
    #[serde(rename_all = "camelCase")]
    Cancelled {
        #[event(aggregate_id)]
        order_id: u64,
        cancelled_by: Option<String>,
    },
    #[event(event_type = "OrderDeleted")]
    Deleted(#[event(aggregate_id)] u64),
}

/// An id of two fields, and a variant without fields.
#[derive(Clone, Debug, PartialEq, DomainEvent, Serialize, Deserialize)]
#[event(aggregate_type = "shelf", aggregate_id = Self::place)]
enum ShelfEvent {
    Emptied,
    Filled { with: String },
}

impl ShelfEvent {
    fn place(&self) -> &'static str {
        "7/3"
    }
}

#[derive(Debug, PartialEq, IncomingEvent, Deserialize)]
#[event(aggregate_type = "order")]
enum Seen {
    #[event(event_type = "OrderCancelled", version = 2)]
    #[serde(rename_all = "camelCase")]
    Cancelled { order_id: u64 },
    #[event(event_type = "OrderDeleted")]
    Deleted {},
}

#[derive(DomainEvent, Serialize)]
#[event(aggregate_type = "batch", crate = ::outbox_core)]
struct Of<T: Serialize>(#[event(aggregate_id)] u8, T);

fn published(event: &OutboxEvent) -> DecodedEvent {
    let pipeline = Pipeline::recommended();
    let row = pipeline.row(event).unwrap();
    match pipeline.decode(pipeline.encode(&row).unwrap()).unwrap() {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn orders() -> [OrderEvent; 3] {
    [
        OrderEvent::Created(OrderCreated { order_id: 7, quantity: 2 }),
        OrderEvent::Cancelled { order_id: 8, cancelled_by: None },
        OrderEvent::Deleted(9),
    ]
}

#[test]
fn each_variant_is_an_event_type_with_its_own_payload() {
    let expected = [
        ("OrderCreated", 3, "7", r#"{"order_id":7,"qty":2}"#),
        ("OrderCancelled", 2, "8", r#"{"orderId":8,"cancelledBy":null}"#),
        ("OrderDeleted", 1, "9", "9"),
    ];
    for (event, (event_type, version, id, payload)) in orders().iter().zip(expected) {
        let event = OutboxEvent::from_event(event).build().unwrap();
        assert_eq!((event.event_type().as_str(), event.schema_version()), (event_type, version));
        assert_eq!((event.aggregate_type().as_str(), event.aggregate_id().as_str()), ("order", id));
        assert_eq!(event.payload(), &Payload::json(payload).unwrap());
    }
    let alone = OutboxEvent::from_event(&OrderCreated { order_id: 7, quantity: 2 }).build().unwrap();
    let in_enum = OutboxEvent::from_event(&orders()[0]).build().unwrap();
    assert_eq!(alone.payload(), in_enum.payload(), "a struct and a variant that holds it are the same event");

    let emptied = OutboxEvent::from_event(&ShelfEvent::Emptied).build().unwrap();
    assert_eq!((emptied.aggregate_id().as_str(), emptied.payload()), ("7/3", &Payload::json("{}").unwrap()));
    let generic = OutboxEvent::from_event(&Of(1, vec![2])).build().unwrap();
    assert_eq!((generic.event_type().as_str(), generic.aggregate_id().as_str()), ("Of", "1"));
}

#[test]
fn events_are_read_back_by_their_event_type() {
    for event in orders() {
        let decoded = published(&OutboxEvent::from_event(&event).build().unwrap());
        assert_eq!(decoded.read::<OrderEvent>().unwrap(), event);
    }
    for event in [ShelfEvent::Emptied, ShelfEvent::Filled { with: "tea".into() }] {
        let decoded = published(&OutboxEvent::from_event(&event).build().unwrap());
        assert_eq!(decoded.read::<ShelfEvent>().unwrap(), event);
    }

    let cancelled = published(&OutboxEvent::from_event(&orders()[1]).build().unwrap());
    assert_eq!(cancelled.read::<Seen>().unwrap(), Seen::Cancelled { order_id: 8 }, "a consumer names what it needs");
    let created = published(&OutboxEvent::from_event(&orders()[0]).build().unwrap());
    assert_eq!(created.read::<OrderCreated>().unwrap(), OrderCreated { order_id: 7, quantity: 2 });
    let error = created.read::<Seen>().unwrap_err();
    assert!(error.is_undecodable() && error.field() == Some("event_type"), "{error}");
}

#[test]
fn a_payload_of_another_form_is_an_error_without_its_text() {
    for payload in ["{\"orderId\":\"hunter2\"}", "null", "[]", "{\"orderId\":1} {}", "{\"Cancelled\":{\"orderId\":1}}"]
    {
        let mut decoded = published(&OutboxEvent::from_event(&orders()[1]).build().unwrap());
        decoded.payload = outbox_core::record::DecodedPayload::Text(payload.into());
        let error = decoded.read::<OrderEvent>().unwrap_err();
        assert!(error.is_undecodable(), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn the_recorder_knows_enums_of_events() {
    let outbox = RecordingOutbox::new(Pipeline::recommended());
    for event in &orders() {
        outbox.publish((), event).await.unwrap();
    }
    outbox.assert_enqueued(&orders()[1]);
    outbox.assert_enqueued(&OrderCreated { order_id: 7, quantity: 2 });
    outbox.assert_enqueued_where::<OrderEvent>(|event| matches!(event, OrderEvent::Deleted(9)));
    outbox.assert_not_enqueued::<ShelfEvent>();
    assert_eq!(outbox.enqueued::<OrderEvent>(), orders());
}
