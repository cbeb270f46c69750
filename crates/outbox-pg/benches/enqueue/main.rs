//! The cost of enqueue for the client alone, without a server: time by criterion, and allocations.
#![allow(missing_docs, clippy::unwrap_used)]

mod peer;

use std::hint::black_box;

use allocation_counter::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use outbox_core::time::PrimitiveDateTime;
use outbox_core::{OutboxEvent, Pipeline};
use outbox_pg::PgOutbox;
use outbox_pg::tokio_postgres::types::{ToSql, Type};
use outbox_pg::tokio_postgres::{Client, Config, NoTls, Transaction};
use tokio::runtime::{Builder, Runtime};

const PAYLOAD: &str = r#"{"n":7,"customer":"c4ca4238a0b923820dcc509a6f75849b","items":[{"sku":"c81e728d9d4c","quantity":2,"price":"19.90"}],"note":"leave it at the door with the green frame"}"#;

/// The INSERT of enqueue, with the columns of `TableLayout::recommended`.
const INSERT: &str = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload, \
     created_at, schema_version, content_type, traceparent, correlation_id, causation_id, headers, tracestate) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

fn build() -> OutboxEvent {
    OutboxEvent::builder("order", "agg-7", "OrderPlaced").json(PAYLOAD).build().unwrap()
}

fn connect(runtime: &Runtime, rows: usize) -> Client {
    let (client, server) = tokio::io::duplex(8 << 20);
    runtime.spawn(peer::agree(server, rows));
    let (client, connection) = runtime.block_on(Config::new().user("bench").connect_raw(client, NoTls)).unwrap();
    runtime.spawn(connection);
    client
}

/// Runs the same round trip as one would write it, with the same columns and values. JSON goes as text, which is the
/// same work for the client.
async fn handwritten(tx: &Transaction<'_>, event: &OutboxEvent) -> u64 {
    let at = PrimitiveDateTime::new(event.created_at().date(), event.created_at().time());
    let params: [(&(dyn ToSql + Sync), Type); 13] = [
        (&event.id().as_uuid(), Type::UUID),
        (&event.aggregate_type().as_str(), Type::TEXT),
        (&event.aggregate_id().as_str(), Type::TEXT),
        (&event.event_type().as_str(), Type::TEXT),
        (&PAYLOAD, Type::TEXT),
        (&at, Type::TIMESTAMP),
        (&1_i32, Type::INT4),
        (&"application/json", Type::TEXT),
        (&"", Type::TEXT),
        (&"", Type::TEXT),
        (&"", Type::TEXT),
        (&"{}", Type::TEXT),
        (&"", Type::TEXT),
    ];
    tx.execute_typed(INSERT, &params).await.unwrap()
}

fn enqueue(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (mut one, mut many) = (connect(&runtime, 1), connect(&runtime, 1_000));
    let one = runtime.block_on(one.transaction()).unwrap();
    let many = runtime.block_on(many.transaction()).unwrap();
    let pipeline = Pipeline::recommended();
    let outbox = PgOutbox::new(pipeline.clone());
    let (event, events) = (build(), (0..1_000).map(|_| build()).collect::<Vec<_>>());

    let cases: [(&str, u64, &dyn Fn()); 5] = [
        ("build an event", 1, &|| drop(black_box(build()))),
        ("its row", 1, &|| drop(black_box(pipeline.row(&event).unwrap()))),
        ("hand-written INSERT, the client's part", 1, &|| {
            black_box(runtime.block_on(handwritten(&one, &event)));
        }),
        ("enqueue, the client's part", 1, &|| runtime.block_on(outbox.enqueue(&one, &event)).unwrap()),
        ("enqueue_all of 1,000, the client's part", 1_000, &|| {
            runtime.block_on(outbox.enqueue_all(&many, &events)).unwrap();
        }),
    ];
    for (name, events, case) in cases {
        println!(
            "{name}: {:.1} allocations, {:.0} bytes an event",
            allocated(case).0 / events as f64,
            allocated(case).1 / events as f64
        );
        criterion.bench_function(name, |bencher| bencher.iter(case));
    }
}

/// Counts allocations and their bytes, by the mean of many calls: a channel or a buffer grows now and then.
fn allocated(case: &dyn Fn()) -> (f64, f64) {
    const CALLS: u32 = 320;
    case();
    let info = measure(|| (0..CALLS).for_each(|_| case()));
    (info.count_total as f64 / f64::from(CALLS), info.bytes_total as f64 / f64::from(CALLS))
}

criterion_group!(benches, enqueue);
criterion_main!(benches);
