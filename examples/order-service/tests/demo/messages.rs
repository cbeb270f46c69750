use serde_json::json;

use crate::service::Demo;

#[test]
fn without_a_table_an_order_is_received_and_the_page_shows_it() {
    let mut demo = Demo::start(&["demo", "--outbox", "message"]);
    let order = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
    assert_eq!(demo.agent.post(demo.url("/orders")).send_json(order).unwrap().status(), 201);
    let event = demo.wait("the event is received", |demo| {
        let received = demo.get("/received");
        received.as_array().and_then(|received| received.first().cloned())
    });
    assert_eq!(event["topic"], "outbox.events.order");
    let page = demo.text("/");
    assert!(page.contains("Outbox message") && !page.contains("Outbox row"), "{page}");
    demo.wait("the way is healthy", |demo| (demo.get("/health/pipeline")["status"] == "good").then_some(()));
    assert!(demo.stop());
}
