use std::collections::BTreeSet;

use outbox_core::event::AggregateType;

use super::heartbeats;
use super::server_check::{CheckStatus, ServerCheck};
use crate::driver::{Relay, session};
use crate::settings::PoisonPolicy;
use outbox_kafka::{Cluster, Settings, TopicRights};
use outbox_net::ErrorChain;
use outbox_wal::RowSample;

/// The bytes of a record besides its row's text: names and headers.
const OVERHEAD: u64 = 1_024;

/// Checks the brokers, the producer and the topics in this order. If no broker answers, the rest is skipped.
pub(super) async fn check(relay: &Relay, topics: &[String], sample: &RowSample) -> Vec<ServerCheck> {
    let mut settings = Settings::new(relay.settings.brokers());
    settings.security = relay.security.clone();
    settings.retry_timeout = crate::driver::RETRY;
    let cluster = Cluster::new(settings);
    let topics = all_topics(relay, topics, sample);
    if let Err(error) = cluster.probe().await {
        let rest = ["producer", "topics"].map(|name| ServerCheck::skipped(name, "Kafka cannot be asked"));
        return std::iter::once(ServerCheck::failed("Kafka", &error)).chain(rest).collect();
    }

    let mut checks = vec![brokers(&cluster)];
    checks.push(producer(&cluster).await);
    if topics.is_empty() {
        let check = ServerCheck::skipped("topics", "the outbox table has no rows that name topics");
        checks.push(check.with_remedy("name topics by --topic"));
    }
    for name in topics {
        checks.extend(topic(relay, &cluster, &name, sample.longest).await);
    }
    checks.extend(heartbeats::check(relay, &cluster).await);
    checks
}

/// Returns the topics of the sampled rows, those that were named, and that for dead letters.
fn all_topics(relay: &Relay, named: &[String], sample: &RowSample) -> BTreeSet<String> {
    let pipeline = relay.settings.pipeline();
    let routed = sample.values.iter().filter_map(|value| {
        let value: AggregateType = value.parse().ok()?;
        pipeline.topic(&value).ok()
    });
    let dead_letters = match relay.settings.poison() {
        PoisonPolicy::DeadLetter(topic) => Some(topic.clone()),
        _ => None,
    };
    routed.chain(named.iter().cloned()).chain(dead_letters).collect()
}

fn brokers(cluster: &Cluster) -> ServerCheck {
    if let Err(error) = cluster.check_producer() {
        return ServerCheck::failed("Kafka", &error);
    }
    let gaps = cluster.capabilities().map(|capabilities| capabilities.gaps()).unwrap_or_default();
    let consequences: Vec<&str> = gaps.iter().map(|gap| gap.consequence()).collect();
    match consequences.is_empty() {
        true => ServerCheck::ok("Kafka", "the brokers have all that the relay uses"),
        false => ServerCheck::warning("Kafka", consequences.join("; ")),
    }
}

async fn producer(cluster: &Cluster) -> ServerCheck {
    match cluster.init_producer_id().await {
        Ok(_) => ServerCheck::ok("producer", "idempotent produce is allowed"),
        Err(error) => ServerCheck::failed("producer", &error)
            .with_remedy("allow IdempotentWrite on the cluster, or Write on a topic from Kafka 3.0 on"),
    }
}

async fn topic(relay: &Relay, cluster: &Cluster, name: &str, longest: Option<u64>) -> Vec<ServerCheck> {
    let label = format!("topic {name}");
    let rights = match cluster.topic_rights(name).await {
        Ok(Some(rights)) => rights,
        Ok(None) => return vec![missing(relay, cluster, name, label).await],
        Err(error) => {
            let check = ServerCheck::failed(&label, &error);
            let is_denied = error.code().is_some_and(outbox_kafka::ErrorCode::is_authorization);
            return vec![if is_denied { check.with_remedy("allow Describe on the topic") } else { check }];
        }
    };
    let mut checks = vec![access(cluster, name, label, rights).await];
    checks.extend(size(relay, cluster, name, longest).await);
    checks
}

/// Checks whether the relay can create the topic.
async fn missing(relay: &Relay, cluster: &Cluster, name: &str, label: String) -> ServerCheck {
    match cluster.check_create_topic(&session::new_topic(name, relay.settings.topic_creation())).await {
        Ok(()) => ServerCheck::ok(label, "it is missing, and the relay creates it"),
        Err(error) => ServerCheck::failed(label, &error)
            .with_remedy("create the topic, or allow Create on it: until then its events wait"),
    }
}

/// Checks that the user may read and write the topic. The relay reads its own records before it writes, so it needs
/// both.
async fn access(cluster: &Cluster, name: &str, label: String, rights: TopicRights) -> ServerCheck {
    // A fetch shows the right to read with every broker.
    let read = match cluster.topic(name).await {
        Ok(Some(topic)) => cluster.check_read(&topic).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };

    let denied = |error: &outbox_kafka::Error| error.code().is_some_and(outbox_kafka::ErrorCode::is_authorization);
    let lacks_read = rights.may_read() == Some(false) || read.as_ref().is_err_and(denied);
    let lacked: Vec<&str> = [("Read", lacks_read), ("Write", rights.may_write() == Some(false))]
        .into_iter()
        .filter_map(|(name, is_lacked)| is_lacked.then_some(name))
        .collect();

    match (lacked.is_empty(), read) {
        (false, _) => {
            let lacked = lacked.join(" and ");
            let text = format!("the user lacks {lacked} on it, and its events wait");
            ServerCheck::new(label, CheckStatus::Failed, text).with_remedy(format!("allow {lacked} on the topic"))
        }
        (true, Err(error)) => ServerCheck::failed(label, &error),
        (true, Ok(())) if rights.may_write().is_none() => {
            ServerCheck::warning(label, "it can be read; the broker does not say whether it can be written")
        }
        (true, Ok(())) => {
            ServerCheck::ok(label, format!("{} partitions, and the user may read and write", rights.partitions))
        }
    }
}

/// Checks whether the longest row of the sample fits the topic's limit, if the broker allows reading the limit.
async fn size(relay: &Relay, cluster: &Cluster, name: &str, longest: Option<u64>) -> Option<ServerCheck> {
    let label = format!("record size of {name}");
    let limit = match cluster.max_message_bytes(name).await {
        Ok(limit) => limit?,
        Err(error) => {
            let text = format!("max.message.bytes cannot be read: {}", ErrorChain::new(&error));
            return Some(
                ServerCheck::skipped(label, text).with_remedy("allow DescribeConfigs on the topic for this check"),
            );
        }
    };
    let limit = limit.min(u64::try_from(relay.settings.max_request_size()).unwrap_or(u64::MAX));
    let longest = longest? + OVERHEAD;

    Some(match longest <= limit {
        true => ServerCheck::ok(label, format!("rows of up to about {longest} bytes, and records may have {limit}")),
        false => {
            let text = format!("there are rows of about {longest} bytes, and records may have {limit}");
            let remedy = "raise max.message.bytes of the topic and producer.override.max.request.size, or such rows stop the \
                          relay or are dead-lettered";
            ServerCheck::warning(label, text).with_remedy(remedy)
        }
    })
}
