//! What the brokers lack, reported once each, and the compression that they accept.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hold::Hold;
use super::job::Answer;
use crate::progress::Outcome;
use outbox_kafka::{Cluster, Compression, Gap, Topic};
use outbox_net::ErrorChain;

/// The gaps that were reported since the relay was started.
pub(super) struct Gaps {
    /// The configured compression. Only for zstd it matters whether brokers know it.
    compression: Compression,
    reported: Mutex<Reported>,
}

#[derive(Default)]
struct Reported {
    gaps: BTreeSet<Gap>,
    has_versions: bool,
}

impl Gaps {
    pub(super) fn new(compression: Compression) -> Self {
        Self { compression, reported: Mutex::default() }
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns whether the gaps in the brokers' versions were reported.
    pub(super) fn are_reported(&self) -> bool {
        self.lock().has_versions
    }

    /// Reports the gaps in the brokers' versions.
    pub(super) fn report_all(&self, cluster: &Cluster) {
        let Some(capabilities) = cluster.capabilities() else { return };
        self.lock().has_versions = true;
        let gaps = capabilities.gaps().into_iter();
        gaps.filter(|gap| *gap != Gap::Zstd || self.compression == Compression::Zstd).for_each(|gap| self.report(gap));
    }

    /// Reports a gap, unless it was reported before.
    pub(super) fn report(&self, gap: Gap) {
        if self.lock().gaps.insert(gap) {
            tracing::warn!(target: "outbox.relay", missing = gap.name(), consequence = gap.consequence(), "broker lacks a feature");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Takes into account what the brokers of a topic show of themselves.
    pub(super) fn describe_brokers(&mut self, topic: &Topic) {
        if topic.id().is_nil() {
            self.gaps.report(Gap::TopicIds);
        }
        if let Some(capabilities) = self.cluster.capabilities() {
            self.compression.limit(&capabilities);
        }
    }

    /// Returns whether a batch was rejected for its compression, and is to be sent again at once with another one.
    pub(super) fn is_recompressed(&mut self, answer: &Answer) -> bool {
        let Answer { topic, partition, compression, outcome, error, .. } = answer;
        match (outcome, error.as_ref().and_then(outbox_kafka::Error::code)) {
            (Outcome::NotAppended | Outcome::Rejected { .. }, Some(code)) => {
                let is_recompressed = self.compression.rejected(topic.name(), *partition, *compression, code);
                if let (true, Some(error)) = (is_recompressed, error) {
                    let error = ErrorChain::new(error);
                    tracing::debug!(target: "outbox.relay", rejected = ?compression, %error, "batch is sent with another compression");
                }
                is_recompressed
            }
            (Outcome::Appended { .. }, _) => {
                if let Some(reason) = self.compression.accepted(topic.name(), *partition, *compression) {
                    tracing::warn!(
                        target: "outbox.relay", topic = topic.name(), configured = ?self.gaps.compression(), used = ?compression,
                        %reason, "broker rejects the configured compression: another one is used"
                    );
                }
                false
            }
            _ => false,
        }
    }
}
