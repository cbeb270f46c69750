use outbox_core::OutboxEvent;
use outbox_relay::RowPosition;

use crate::fixture::{RelayEnv, numbered};
use crate::heard::Heard;

/// PostgreSQL takes such a timestamp, and no record has one.
const INFINITY: &str = r#"
    INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload, created_at)
    VALUES ('00000000-0000-4000-8000-000000000001', 'order', 'agg-0', 'Late', '{"a" : 1}', 'infinity')"#;

fn large(bytes: usize) -> OutboxEvent {
    OutboxEvent::builder("order", "agg-0", "Large").json(format!("\"{}\"", "x".repeat(bytes))).build().unwrap()
}

/// Starts a fixture whose topic takes 4 KiB at most, so that a row is larger than it may be.
async fn bench_with_small_topic() -> RelayEnv {
    let mut fixture = RelayEnv::new(1).await;
    // The broker looks at what is sent, which is compressed otherwise.
    let config = fixture.config.with("producer.override.compression.type", "none");
    fixture.config = config.with("topic.creation.default.max.message.bytes", "4096");
    fixture
}

#[tokio::test]
async fn a_row_that_the_broker_never_takes_stops_the_relay_and_is_named() {
    let fixture = bench_with_small_topic().await;
    let poison = large(9_000);
    fixture.enqueue_each(1, 0..3).await;
    fixture.enqueue(&[poison.clone(), numbered(1, 3)]).await;
    let error = fixture.start().outcome().await.unwrap_err();
    assert!(error.is_poison(), "{error:?}");
    assert_eq!(error.row().unwrap().2, Some(poison.id().as_uuid()));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("MESSAGE_TOO_LARGE"), "{error:?}");
    let records = fixture.records(3).await;
    assert_eq!(records[..3].iter().map(|record| &*record.value).collect::<Vec<_>>(), ["0", "1", "2"]);
}

async fn enqueue_infinity(fixture: &RelayEnv) {
    fixture.client().await.batch_execute(INFINITY).await.unwrap();
}

/// Writes good rows, and then a transaction with a poison row after good ones and before more of them; all in one
/// backlog.
async fn poison_among_good_rows(fixture: &RelayEnv) {
    fixture.enqueue_each(3, 0..20).await;
    let mut client = fixture.client().await;
    let transaction = client.transaction().await.unwrap();
    let good = |numbers: std::ops::Range<i64>| numbers.map(|number| numbered(3, number)).collect::<Vec<_>>();
    fixture.outbox.enqueue_all(&transaction, &good(20..25)).await.unwrap();
    transaction.batch_execute(INFINITY).await.unwrap();
    fixture.outbox.enqueue_all(&transaction, &good(25..30)).await.unwrap();
    transaction.commit().await.unwrap();
    fixture.enqueue_each(3, 30..40).await;
}

/// Returns the transactions' commits in the slot's order, which nobody must hold.
async fn unconfirmed_commits(fixture: &RelayEnv) -> i64 {
    let sql = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1',
                   'publication_names', $2) WHERE get_byte(data, 0) = ascii('C')";
    let publication = fixture.config.get("publication.name").unwrap();
    fixture.client().await.query_one(sql, &[&fixture.name(), &publication]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_is_before_a_poison_row_is_written_and_confirmed_and_with_skip_the_poison_row_alone_is_missing() {
    let fixture = RelayEnv::new(2).await;
    poison_among_good_rows(&fixture).await;
    let error = fixture.start().outcome().await.unwrap_err();
    let poison = error.position().unwrap_or_else(|| panic!("{error:?}")).clone();
    fixture.check(&fixture.read(&fixture.topic).await, 25);
    fixture.slot_becomes("NOT active").await;
    assert_eq!(unconfirmed_commits(&fixture).await, 11, "that of the poison row and those behind it");
    let said = error.to_string();
    assert!(said.contains(&format!("--skip {poison}")), "{said}");

    // It stops there again, and repeats nothing.
    assert_eq!(fixture.start().outcome().await.unwrap_err().position(), Some(&poison));
    fixture.check(&fixture.read(&fixture.topic).await, 25);

    let heard = Heard::listen();
    let unknown = poison.to_string().trim_end_matches("5").to_owned() + "400";
    let skipped = [poison.clone(), unknown.parse().unwrap()];
    let relay = fixture.start_with(|settings| settings.skip(skipped));
    fixture.records(40).await;
    fixture.confirmed().await;
    fixture.check(&fixture.read(&fixture.topic).await, 40);
    assert!(relay.status.prometheus_text().contains("outbox_relay_rows_left_out_total 1\n"));
    relay.stop().await;
    let lines = heard.text();
    assert!(lines.contains(&format!("row skipped as requested position={poison}")), "{lines}");
    assert!(lines.contains(&format!("position={unknown} reason=\"its transaction has no such row\"")), "{lines}");
}

#[tokio::test]
async fn the_header_of_a_record_is_a_position_as_skip_takes_it() {
    let fixture = RelayEnv::new(1).await;
    fixture.enqueue_each(1, 0..3).await;
    let relay = fixture.start();
    let records = fixture.records(3).await;
    let position = records[1].headers["outbox.position"].parse::<RowPosition>().unwrap();
    assert_eq!(position.to_string(), records[1].headers["outbox.position"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_row_whose_values_cannot_be_read_stops_the_relay_and_is_named() {
    let fixture = RelayEnv::new(1).await;
    enqueue_infinity(&fixture).await;
    let error = fixture.start().outcome().await.unwrap_err();
    assert!(error.is_poison() && error.row().unwrap().2.is_some(), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("created_at") && cause.contains("infinite"), "{cause}");
}

#[tokio::test]
async fn a_row_whose_values_cannot_be_read_is_dead_lettered_with_all_that_it_says() {
    let mut fixture = RelayEnv::new(1).await;
    let dead = fixture.topic.replace(".order", ".dead");
    fixture.dead_letters = Some(dead.clone());
    fixture.create_topic(&dead).await;
    fixture.enqueue_each(1, 0..2).await;
    enqueue_infinity(&fixture).await;
    fixture.enqueue_each(1, 2..4).await;
    let relay = fixture.start();
    fixture.check(&fixture.records(4).await, 4);

    let letters = fixture.records_of(&dead, 1).await;
    assert_eq!((letters.len(), &*letters[0].key), (1, "agg-0"));
    assert_eq!(letters[0].headers["id"], "00000000-0000-4000-8000-000000000001");
    assert!(letters[0].headers["outbox.dead-letter.reason"].contains("created_at"), "{:?}", letters[0].headers);

    let row: serde_json::Value = serde_json::from_str(&letters[0].value).unwrap();
    assert_eq!((&row["created_at"], &row["payload"]), (&"infinity".into(), &"{\"a\" : 1}".into()));
    assert!(row["schema_version"] == "1" && row.as_object().unwrap().len() == 13, "{row}");
    fixture.confirmed().await;
    assert!(relay.status.prometheus_text().contains("outbox_relay_dead_letters_total 1\n"));
    relay.stop().await;
}

#[tokio::test]
async fn a_dead_lettered_row_lets_the_others_go_on() {
    let mut fixture = bench_with_small_topic().await;
    let dead = fixture.topic.replace(".order", ".dead");
    fixture.dead_letters = Some(dead.clone());
    fixture.create_topic(&dead).await;
    let poison = large(9_000);
    fixture.enqueue_each(1, 0..3).await;
    fixture.enqueue(std::slice::from_ref(&poison)).await;
    fixture.enqueue_each(1, 3..6).await;

    let relay = fixture.start();
    let records = fixture.records(6).await;
    fixture.check(&records, 6);

    let letters = fixture.records_of(&dead, 1).await;
    assert_eq!(letters[0].headers["id"], poison.id().to_string());
    assert!(letters[0].headers["outbox.dead-letter.reason"].contains("MESSAGE_TOO_LARGE"), "{:?}", letters[0].headers);
    assert_eq!(letters[0].headers["outbox.dead-letter.topic"], fixture.topic);
    assert_eq!(letters[0].value.len(), 9_002);
    fixture.confirmed().await;
    relay.stop().await;
}

/// The stream of it begins where the slot is confirmed, which is before rows that are written already.
#[tokio::test]
async fn a_large_transaction_that_was_stopped_near_its_end_is_not_written_again() {
    let mut fixture = bench_with_small_topic().await;
    fixture.enqueue_each(10, 0..50).await;
    let mut events: Vec<_> = (50..40_000).map(|number| numbered(10, number)).collect();
    events.push(large(9_000));
    fixture.enqueue(&events).await;
    assert!(fixture.start().outcome().await.unwrap_err().is_poison());

    let dead = fixture.topic.replace(".order", ".dead");
    fixture.dead_letters = Some(dead.clone());
    fixture.create_topic(&dead).await;
    let relay = fixture.start();
    fixture.records_of(&dead, 1).await;
    fixture.confirmed().await;
    let records = fixture.records(40_000).await;
    fixture.check(&records, 40_000);
    relay.stop().await;
}
