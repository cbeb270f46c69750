//! The one node, its settings and its clock.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::imitation::Imitation;

/// The id of the one node, which leads every partition and coordinates every group.
pub(super) const NODE_ID: i32 = 1;

/// The epoch of its leadership, which never changes.
pub(super) const LEADER_EPOCH: i32 = 0;

/// Returns the present, in ms since 1970.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The properties of the node that clients get.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) cluster_id: String,
}

impl Node {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: i32::from(address.port()),
            cluster_id: Uuid::now_v7().simple().to_string(),
        }
    }
}

/// Whether topics are created by their first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoCreation {
    OnFirstUse,
    Never,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) default_partitions: i32,
    pub(super) max_message_bytes: i32,
    pub(super) auto_creation: AutoCreation,
    pub(super) imitation: Imitation,
}

impl Default for Settings {
    /// Creates the defaults of Apache Kafka.
    fn default() -> Self {
        Self {
            default_partitions: 1,
            max_message_bytes: 1_048_588,
            auto_creation: AutoCreation::OnFirstUse,
            imitation: Imitation::new(),
        }
    }
}
