use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};

use crate::bench::{Fixture, OrderCreated};
use crate::positions::store;

async fn outside(_: Received<OrderCreated>) -> HandlerResult {
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_doubled_is_told_before_anything_runs() {
    let bench = Fixture::without_topic().await;
    let layout = TableLayout::recommended();
    let untyped = ConnectorConfig::recommended(&layout)
        .with("transforms.outbox.table.fields.additional.placement", "traceparent:header");
    let cases = [
        (Consumer::builder(Vec::<String>::new()), "host:port"),
        (Consumer::builder(["x:1"]), "call pipeline"),
        (Consumer::builder(["x:1"]).pipeline(bench.pipeline().clone()), "call group"),
        (Consumer::builder(["x:1"]).pipeline(bench.pipeline().clone()).group(""), "call group"),
        (Consumer::builder(["x:1"]).pipeline(bench.pipeline().clone()).group("g"), "call store"),
        (bench.consumer(), "no handler"),
        (bench.consumer().on(store).on_at_least_once(outside), "shares order OrderCreated with another handler"),
        (bench.consumer().on_at_least_once(outside).on(store), "shares order OrderCreated with another handler"),
        (bench.consumer().pipeline(Pipeline::new(untyped, layout).unwrap()).on(store), "event_type:header"),
    ];
    for (builder, reason) in cases {
        let error = builder.build().unwrap_err();
        assert!(error.is_build() && error.to_string().contains(reason), "{error}");
    }
}
