use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_kafka_consumer::{Consumer, HandlerResult, Received};

use crate::env::{ConsumerEnv, OrderCreated};
use crate::positions::store;

async fn outside(_: Received<OrderCreated>) -> HandlerResult {
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_doubled_is_told_before_anything_runs() {
    let env = ConsumerEnv::without_topic().await;
    let layout = TableLayout::recommended();
    let untyped = ConnectorConfig::recommended(&layout)
        .with("transforms.outbox.table.fields.additional.placement", "traceparent:header");
    let cases = [
        (Consumer::builder(Vec::<String>::new()), "host:port"),
        (Consumer::builder(["x:1"]), "call pipeline"),
        (Consumer::builder(["x:1"]).pipeline(env.pipeline().clone()), "call group"),
        (Consumer::builder(["x:1"]).pipeline(env.pipeline().clone()).group(""), "call group"),
        (Consumer::builder(["x:1"]).pipeline(env.pipeline().clone()).group("g"), "call store"),
        (env.consumer(), "no handler"),
        (env.consumer().on(store).on_side_effect(outside), "shares order OrderCreated with another handler"),
        (env.consumer().on_side_effect(outside).on(store), "shares order OrderCreated with another handler"),
        (env.consumer().pipeline(Pipeline::new(untyped, layout).unwrap()).on(store), "event_type:header"),
    ];

    for (builder, reason) in cases {
        let error = builder.build().unwrap_err();
        assert!(error.is_build() && error.to_string().contains(reason), "{error}");
    }
}
