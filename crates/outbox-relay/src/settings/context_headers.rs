use outbox_core::uuid::Uuid;

use super::Finding;
use super::resolved::Resolved;

/// The headers that Debezium adds to each record before the router's (`extended.headers.enabled`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContextHeaders([(&'static str, String); 4]);

impl ContextHeaders {
    /// Returns none if the connector has turned them off.
    pub(super) fn of(config: &Resolved) -> Result<Option<Self>, Finding> {
        let key = "extended.headers.enabled";
        let is_on = match config.get(key) {
            None => true,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(Finding::new(key, "it is either true or false")),
        };
        let prefix = config.get("topic.prefix").unwrap_or_default();
        Ok(is_on.then(|| {
            Self([
                ("__debezium.context.connectorLogicalName", prefix.to_owned()),
                // A connector of PostgreSQL has one task.
                ("__debezium.context.taskId", "0".to_owned()),
                // The name of the connector's kind, in spite of the header's.
                ("__debezium.context.connectorName", "postgresql".to_owned()),
                // A new one for each run, as in Debezium.
                ("__debezium.context.runId", Uuid::now_v7().to_string()),
            ])
        }))
    }

    /// Returns the headers in Debezium's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, value.as_bytes()))
    }
}
