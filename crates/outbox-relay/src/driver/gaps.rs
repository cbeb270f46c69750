//! The features that the brokers lack, reported once each, and the compression that they accept.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outbox_kafka::{Cluster, Compression, Gap};

/// The gaps that were reported since the relay was started.
pub struct Gaps {
    /// The configured compression. Only zstd depends on the brokers' versions.
    compression: Compression,
    reported: Mutex<Reported>,
}

#[derive(Default)]
struct Reported {
    gaps: BTreeSet<Gap>,
    has_versions: bool,
}

impl Gaps {
    pub fn new(compression: Compression) -> Self {
        Self { compression, reported: Mutex::default() }
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns whether the gaps in the brokers' versions were reported.
    pub fn are_reported(&self) -> bool {
        self.lock().has_versions
    }

    /// Reports the gaps in the brokers' versions.
    pub fn report_all(&self, cluster: &Cluster) {
        let Some(capabilities) = cluster.capabilities() else { return };
        self.lock().has_versions = true;
        let gaps = capabilities.gaps().into_iter();
        gaps.filter(|gap| *gap != Gap::Zstd || self.compression == Compression::Zstd).for_each(|gap| self.report(gap));
    }

    /// Reports a gap, unless it was reported before.
    pub fn report(&self, gap: Gap) {
        if self.lock().gaps.insert(gap) {
            tracing::warn!(target: "outbox.relay", missing = gap.name(), consequence = gap.consequence(), "broker lacks a feature");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
