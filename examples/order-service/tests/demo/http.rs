use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::service::Demo;

#[test]
fn one_command_is_enough_for_an_order_to_take_effect() {
    // A debug build is a demonstration without being asked.
    let mut demo = Demo::start(&[]);
    assert!(!demo.text("/metrics").contains("outbox_consumer_lag"), "no partition is there before the first event");
    let order = json!({"customer_id": 1, "product_id": 101, "quantity": 2});
    let mut answer = demo.agent.post(demo.url("/orders")).send_json(order).unwrap();
    assert_eq!(answer.status(), 201);
    let order: Value = answer.body_mut().read_json().unwrap();

    let event = demo.wait("the event is received", |demo| demo.get("/received").as_array().unwrap().first().cloned());
    assert_eq!(event["aggregate_id"], order["id"].to_string());
    assert_eq!(event["payload"]["quantity"], 2);
    assert_eq!(event["topic"], "outbox.events.order");
    demo.wait("the way is healthy", |demo| (demo.get("/health/pipeline")["status"] == "good").then_some(()));

    let maintained = "order_service_maintenance_runs_total{outcome=\"done\"} 1";
    demo.wait("the tables are maintained", |demo| demo.text("/metrics").contains(maintained).then_some(()));
    let metrics = demo.text("/metrics");
    for metric in [
        "order_service_http_requests_total{method=\"POST\",route=\"/orders\",status=\"201\"} 1",
        "order_service_database_up 1",
        "outbox_pipeline{indicator=\"slot_active\"} 1.0",
        "outbox_consumer_handled_total{topic=\"outbox.events.order\"} 1",
        "outbox_relay_",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(metric)), "{metric}: {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1, "{metrics}");
    assert!(demo.stop());
}

#[test]
fn the_page_works_without_its_script_and_for_nobody_else() {
    let mut demo = Demo::start(&["demo"]);
    let answer = demo.agent.get(demo.url("/")).call().unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");

    let form = [("customer_id", "1"), ("product_id", "101"), ("quantity", "3")];
    let answer = demo.agent.post(demo.url("/page/orders")).send_form(form).unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &"/".parse().unwrap()));
    demo.wait("the page shows the effect", |demo| demo.text("/").contains("the effect is committed").then_some(()));

    // The first answer of the stream has all parts.
    let stream = demo.agent.get(demo.url("/page/live")).call().unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let lines = BufReader::new(stream.into_body().into_reader()).lines().map(Result::unwrap);
    let events: Vec<_> = lines.filter_map(|line| line.strip_prefix("event: ").map(str::to_owned)).take(6).collect();
    assert_eq!(events, ["summary", "orders", "lag", "dead-letters", "health", "demo"]);

    for (header, value) in [("sec-fetch-site", "cross-site"), ("origin", "http://example.org")] {
        let refused = demo.agent.post(demo.url("/page/switches/relay/off")).header(header, value).send_empty();
        assert_eq!(refused.unwrap().status(), 403, "{header}");
    }
    for (quantity, expected) in
        [("ten", "form: quantity: it must be a whole number from 1 to 10000"), ("", "form: quantity")]
    {
        let form = [("customer_id", "1"), ("product_id", "101"), ("quantity", quantity)];
        let mut bad = demo.agent.post(demo.url("/page/orders")).send_form(form).unwrap();
        let problem: Value = bad.body_mut().read_json().unwrap();
        assert!(bad.status() == 422 && problem["detail"].as_str().unwrap().starts_with(expected), "{problem}");
    }
    assert_eq!(demo.agent.post(demo.url("/page/dead-letters/x/retry")).send_empty().unwrap().status(), 400);
    assert_eq!(demo.agent.post(demo.url("/page/dead-letters/1/retry")).send_empty().unwrap().status(), 409);
}

#[test]
fn every_link_of_the_page_leads_into_the_service() {
    let demo = Demo::start(&["demo"]);
    let page = demo.text("/");
    let values = |attribute: &str| {
        let quoted = format!("{attribute}=\"");
        page.split(&quoted).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let links: Vec<_> = values(" href").into_iter().chain(values(" src")).chain(values(" action")).collect();
    assert!(links.len() > 7, "{links:?}");

    for link in links {
        match link.chars().next() {
            Some('#') => assert!(page.contains(&format!("id=\"{}\"", &link[1..])), "{link}"),
            Some('/') if !link.starts_with("/page/") => {
                assert_eq!(demo.agent.get(demo.url(&link)).call().unwrap().status(), 200, "{link}");
            }
            _ => assert!(link.starts_with("/page/") || link == "data:,", "{link}"),
        }
    }
}

#[test]
fn an_address_in_use_is_reported_before_any_server_starts() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-service"));
    let output = command.arg("demo").env("LISTEN", &address).env_remove("RUST_LOG").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {address}")) && error.contains("--listen"), "{error}");
    assert!(!error.contains("PostgreSQL"), "{error}");
}
