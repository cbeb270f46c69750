use outbox_core::OutboxEvent;
use outbox_core::record::Decoded;
use outbox_test_support::eventually;

use crate::fixture::{Service, connected};

#[tokio::test]
async fn payloads_at_the_edges_arrive_to_the_byte() {
    let (env, _connector) = connected().await;
    let payloads = payloads();
    let events: Vec<_> = payloads
        .iter()
        .map(|payload| OutboxEvent::builder("edge", "1", "Edge").json(payload.as_str()).build().unwrap())
        .collect();
    env.enqueue_each(&events).await;

    let records = env.records(&env.topic_of("edge"), payloads.len()).await;
    assert_eq!(records.len(), payloads.len());

    for ((record, payload), event) in records.into_iter().zip(&payloads).zip(&events) {
        let excerpt: String = payload.chars().take(80).collect();
        assert!(record.value() == payload, "{excerpt}");
        let Decoded::Event(decoded) = env.pipeline().decode(record.record).unwrap() else {
            panic!("{excerpt} is an event")
        };
        assert_eq!(decoded.id, event.id().as_uuid());
        assert!(decoded.payload.as_text() == Some(payload), "{excerpt}");
    }
}

#[tokio::test]
async fn numbers_that_no_float_holds_are_received_and_shown_as_they_were_written() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "all").await;
    let payload = r#"{"order_id":1,"customer_id":1,"product_id":101,"quantity":2,"created_at":"2026-01-02T03:04:05Z",
            "big":12345678901234567890123,"exponent":1e-400,"zero":-0.0,"nested":{"null":null,"array":[],"object":{}}}"#;
    let event = OutboxEvent::builder("order", "1", "OrderCreated").json(payload).build().unwrap();
    env.enqueue_each(&[event]).await;
    // No parser of ours takes such numbers, so the answer is looked at as text.
    let shown = eventually("the event is received", async || {
        Some(service.get("/received").await.text).filter(|text| text != "[]")
    })
    .await;
    assert!(shown.contains(payload), "{shown}");
}

fn payloads() -> Vec<String> {
    let mut payloads: Vec<String> = [
        "12345678901234567890",
        "-12345678901234567890.12345678901234567890",
        "1e308",
        "-1E+308",
        "1e-400",
        "-0",
        "0.10",
        "null",
        "true",
        "\"\"",
        "[]",
        "{}",
        "[[],{},[[]],[{}],{\"\":{}}]",
        r#"{"a":null,"b":{"c":null,"d":[null,null,{"e":null}]},"f":[]}"#,
        r#"{"i":12345678901234567890,"e":1e308,"mixed":[1,"a",2.5,null,[],{"a":1},{"a":"x"}]}"#,
        r#"{"a":1,"a":2,"b":1,"a":3}"#,
        r#"{"":1," ":2,"\u0000":3,"\ud83e\udd80":4,"🦀":5}"#,
        " \t\r\n{ \"spaced\" :\n\t[ 1 , 2 ]\r\n} \n",
        r#""\u0000\u001f\"\\\/\b\f\n\r\t\u2028\u2029""#,
        "\"\u{7f}\u{80}\u{a0}\u{200b}\u{202e}\u{2028}\u{feff}\u{fffd}\u{ffff}\"",
        "\"e\u{301} and \u{e9}\"",
    ]
    .map(str::to_owned)
    .into();

    let deepest = outbox_core::event::JsonText::MAX_DEPTH;
    payloads.push(format!("{}1{}", "[".repeat(deepest), "]".repeat(deepest)));
    payloads.push(every_plane());
    payloads.push(of_900_kb());
    payloads
}

/// Returns the first, a middle and the last character of each of the 17 planes, as far as they are characters.
fn every_plane() -> String {
    let characters = (0..=0x10_u32).flat_map(|plane| {
        [0x21, 0x1234, 0x8000, 0xf000, 0xfffd, 0xfffe, 0xffff].map(|place| char::from_u32(plane << 16 | place))
    });
    format!("{{\"planes\":\"{}\"}}", characters.flatten().collect::<String>())
}

fn of_900_kb() -> String {
    let item = r#"{"n":12345678901234567890,"s":"🦀 é \u0000","e":1e308,"z":null},"#;
    let items = item.repeat(900_000 / item.len());
    let start = format!("[{}", items.trim_end_matches(','));
    format!("{start}{}]", " ".repeat(900_000 - start.len() - 1))
}
