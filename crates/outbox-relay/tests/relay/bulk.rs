use std::pin::pin;

use futures_util::SinkExt as _;
use outbox_core::bytes::Bytes;
use outbox_core::uuid::Uuid;
use outbox_pg::tokio_postgres::Client;

use crate::fixture::RelayEnv;

const COLUMNS: &str = "outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)";

/// The rows of one COPY, and of one INSERT, share an LSN.
#[tokio::test]
async fn rows_of_copy_and_of_inserts_of_many_rows_are_written_once_through_crashes() {
    let fixture = RelayEnv::new(2).await;
    let client = fixture.client().await;
    let mut relay = fixture.start();
    let mut number = 0;
    for round in 0..4_usize {
        copy(&client, number..number + 3_000).await;
        insert(&client, number + 3_000..number + 4_000).await;
        number += 4_000;
        // Somewhere in the middle of what these were.
        fixture.records(round * 4_000 + 500 + round * 900).await;
        relay.kill().await;
        relay = fixture.start();
    }

    fixture.all_arrived_once_and_in_order().await;
    assert_eq!(fixture.written().await.len(), 16_000);
    relay.stop().await;
}

async fn copy(client: &Client, numbers: std::ops::Range<i64>) {
    let mut sink = pin!(client.copy_in(&format!("COPY {COLUMNS} FROM STDIN")).await.unwrap());
    let mut rows = String::new();
    for number in numbers {
        let (id, key) = (Uuid::now_v7(), number % 10);
        rows.push_str(&format!("{id}\torder\tagg-{key}\tCopied\t{number}\n"));
    }
    sink.send(Bytes::from(rows)).await.unwrap();
    sink.finish().await.unwrap();
}

async fn insert(client: &Client, numbers: std::ops::Range<i64>) {
    let rows: Vec<_> =
        numbers.map(|n| format!("(gen_random_uuid(), 'order', 'agg-{}', 'Inserted', '{n}')", n % 10)).collect();
    client.batch_execute(&format!("INSERT INTO {COLUMNS} VALUES {}", rows.join(", "))).await.unwrap();
}
