//! One suite against the broker of this crate and against Apache Kafka, so that the double stays honest.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod fetch;
mod groups;
mod idempotence;
mod metadata;
mod offsets;
mod produce;
mod records;
mod rust_client;
mod stored;
mod target;
mod topics;
mod transactions;
mod versions;

use target::Target;

/// Runs each case twice: against the double, and against the real Kafka.
macro_rules! on_both {
    ($($module:ident: $($case:ident),+;)+) => {
        mod double {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    crate::Target::double().await.run(crate::$module::$case).await;
                })+
            })+
        }
        mod kafka {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    crate::Target::kafka().run(crate::$module::$case).await;
                })+
            })+
        }
    };
}

on_both! {
    versions: too_new_api_versions, unsupported_versions, served_by_kafka;
    metadata: by_name, by_id, unknown, all_topics, auto_creation;
    topics: refused, settings, deleted;
    produce: every_version, acks, refused_batches, refused_partitions, refused_records, settings_of_the_topic;
    idempotence: resumed, sent_again, split_otherwise, epochs, wrap_and_first, producer_ids, described;
    fetch: every_version, bounds, errors, long_poll, order_of_requests;
    offsets: listed, by_timestamp, deleted_records;
    groups: committed, refused_commits, coordinators;
    transactions: committed_and_aborted, interleaved, fenced, refused_transactions;
    stored: log_append_time, any_headers, compacted;
    rust_client: codecs, produce_and_fetch, wake_up, controller, refusals;
}
