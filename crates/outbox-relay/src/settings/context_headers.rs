use outbox_core::uuid::Uuid;

use super::Finding;
use super::resolved::Resolved;

/// The headers that Debezium adds to each record before the router's (`extended.headers.enabled`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContextHeaders(Vec<(&'static str, String)>);

impl ContextHeaders {
    /// Returns `None` if the connector has turned them off.
    pub(super) fn of(config: &Resolved) -> Result<Option<Self>, Finding> {
        let key = "extended.headers.enabled";
        let is_on = match config.get(key) {
            None => true,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(Finding::new(key, "it is either true or false")),
        };

        let prefix = config.get("topic.prefix").unwrap_or_default();
        let dropped = config.dropped_headers();

        Ok(is_on.then(|| {
            let headers = [
                ("__debezium.context.connectorLogicalName", prefix.to_owned()),
                // A connector of PostgreSQL has one task.
                ("__debezium.context.taskId", "0".to_owned()),
                // The name of the connector's kind, despite the name of the header.
                ("__debezium.context.connectorName", "postgresql".to_owned()),
                // A new one for each run, as in Debezium.
                ("__debezium.context.runId", Uuid::now_v7().to_string()),
            ];
            let kept = headers.into_iter().filter(|(name, _)| !dropped.contains(name));
            Self(kept.map(|(name, value)| (name, converted(config, value))).collect())
        }))
    }

    /// Returns the headers in Debezium's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, value.as_bytes()))
    }
}

/// Returns a header's text as the header converter writes it.
fn converted(config: &Resolved, text: String) -> String {
    if !config.get("header.converter").is_some_and(|class| class.ends_with(".JsonConverter")) {
        return text;
    }
    let json = serde_json::Value::from(text).to_string();
    let has_schemas =
        config.get("header.converter.schemas.enable").is_none_or(|value| value.eq_ignore_ascii_case("true"));
    match has_schemas {
        true => format!(r#"{{"schema":{{"type":"string","optional":false}},"payload":{json}}}"#),
        false => json,
    }
}
