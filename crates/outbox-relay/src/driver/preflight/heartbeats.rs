use super::server_check::ServerCheck;
use crate::driver::{Relay, session};
use outbox_kafka::{Cluster, Error, ErrorCode};
use outbox_net::ErrorChain;

/// The consequence of all problems with heartbeats.
const CONSEQUENCE: &str = "no heartbeats are written; events are not affected";

/// Checks the topic of the heartbeats, if the configuration has heartbeats.
pub(super) async fn check(relay: &Relay, cluster: &Cluster) -> Option<ServerCheck> {
    let topic = relay.settings.heartbeats()?.record()?.topic();
    let label = format!("heartbeats in {topic}");
    Some(match cluster.topic_rights(topic).await {
        Ok(Some(rights)) if rights.may_write() == Some(false) => {
            let text = format!("the user lacks Write on the topic: {CONSEQUENCE}");
            ServerCheck::warning(label, text).with_remedy("allow Write on the topic")
        }
        Ok(Some(rights)) if rights.may_write().is_none() => {
            ServerCheck::warning(label, "the broker does not say whether the topic can be written")
        }
        Ok(Some(_)) => ServerCheck::ok(label, "the user may write"),
        Ok(None) => {
            let new = session::new_topic(topic, relay.settings.topic_creation());
            match cluster.check_create_topic(&new).await {
                Ok(()) => ServerCheck::ok(label, "the topic is missing, and the relay creates it"),
                Err(error) => warning(label, &error).with_remedy("create the topic, or allow Create on it"),
            }
        }
        Err(error) if error.code().is_some_and(ErrorCode::is_authorization) => {
            warning(label, &error).with_remedy("allow Describe and Write on the topic")
        }
        Err(error) => warning(label, &error),
    })
}

fn warning(label: String, error: &Error) -> ServerCheck {
    ServerCheck::warning(label, format!("{}: {CONSEQUENCE}", ErrorChain::new(error)))
}
