use std::time::Duration;

use outbox_net::ErrorChain;
use tokio::time::timeout;

use super::Shared;

/// The time that Kafka may take to answer. Nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(2);
const POLICY: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";

impl Shared {
    /// Warns if a topic keeps records for longer than the inbox remembers events: a record that is read again after
    /// that takes effect again.
    pub async fn check_retention(&self, topic: &str) {
        let asked = self.cluster.brokers().cluster().topic_configs(topic, &[POLICY, RETENTION]);
        let configs = match timeout(PATIENCE, asked).await {
            Ok(Ok(configs)) => configs,
            Ok(Err(e)) => {
                tracing::debug!(target: "outbox.consumer", topic, error = %ErrorChain::new(&e), "retention of the topic not read");
                return;
            }
            Err(_) => return,
        };
        let deletes = configs.get(POLICY).is_none_or(|policy| policy.contains("delete"));
        let Some(kept) = configs.get(RETENTION).and_then(|kept| kept.parse::<i64>().ok()).filter(|_| deletes) else {
            return;
        };

        // A negative one is none.
        let kept = u64::try_from(kept).ok().map(Duration::from_millis);
        let inbox = self.options.inbox_retention;
        if kept.is_none_or(|kept| kept > inbox) {
            let kept = kept.map_or_else(|| "unlimited".to_owned(), |kept| format!("{kept:?}"));
            tracing::warn!(
                target: "outbox.consumer", topic, retention = kept, inbox_retention = ?inbox,
                "topic retention exceeds inbox retention: records that are read again take effect again, raise inbox_retention"
            );
        }
    }
}
