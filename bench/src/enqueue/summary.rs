use serde::Serialize;
use serde_json::{Value, json};

use super::batch::{Batch, ratio};
use super::options::Options;
use super::outbox_env::SynchronousCommit;
use super::serializable::Serializable;
use super::single::Single;
use crate::machine::Machine;

/// The measurements with one setting of `synchronous_commit`.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) synchronous_commit: SynchronousCommit,
    pub(super) single: Single,
    pub(super) batch: Batch,
}

/// Returns the figures with `synchronous_commit` on, those with it off next to them, and what they are made of.
pub(super) fn of(
    machine: &Machine,
    options: &Options,
    [on, off]: [&Measured; 2],
    serializable: &Serializable,
) -> Value {
    let mut summary = figures(on);
    if let Some(summary) = summary.as_object_mut() {
        summary.insert("synchronous_commit_off".into(), figures(off));
        summary.insert(
            "raw".into(),
            json!({
                "machine": machine, "pairs": options.pairs, "transactions": options.transactions,
                "serializable": serializable, "measured": [on, off],
            }),
        );
    }
    summary
}

fn figures(measured: &Measured) -> Value {
    let (single, batch) = (&measured.single, &measured.batch);
    let figure = |value: Option<f64>| value.map(|value| (value * 1_000.0).round() / 1_000.0);
    json!({
        "enqueue_ratio_vs_handwritten": figure(single.cached.ratio_to(&single.handwritten)),
        "handwritten_ratio_vs_itself": figure(single.handwritten_again.ratio_to(&single.handwritten)),
        "enqueue_ratio_uncached": figure(single.uncached.ratio_to(&single.handwritten)),
        "enqueue_added_ms_p50": figure(single.cached.added_to(&single.without_outbox)),
        "enqueue_uncached_added_ms_p50": figure(single.uncached.added_to(&single.without_outbox)),
        "batch_1000_ratio_vs_single": figure(ratio(&batch.single_cached_ms, &batch.all_ms)),
        "batch_1000_ratio_vs_single_uncached": figure(ratio(&batch.single_uncached_ms, &batch.all_ms)),
        "vanish_ratio": figure(single.keep.ratio_to(&single.vanish)),
        "message_ratio_vs_table": figure(single.keep.ratio_to(&single.message)),
        "batch_1000_vanish_ratio": figure(ratio(&batch.all_ms, &batch.all_vanishing_ms)),
        "partitions_ratio": figure(single.keep.ratio_to(&single.in_partitions)),
    })
}
