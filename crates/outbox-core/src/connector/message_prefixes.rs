use super::ConnectorConfig;
use super::table_list::List;
use crate::Error;

const INCLUDED: &str = "message.prefix.include.list";

/// The logical decoding messages that a connector's configuration includes (`message.prefix.include.list`,
/// `message.prefix.exclude.list`), as Debezium reads these lists: regular expressions for the whole prefix, without
/// regard to case.
#[derive(Clone, Debug)]
pub struct IncludedMessages(List);

impl IncludedMessages {
    /// Returns whether the connector reads messages of a prefix.
    #[must_use]
    pub fn contains(&self, prefix: &str) -> bool {
        self.0.contains(prefix)
    }

    /// Returns the key whose list leaves out a prefix, if one does.
    pub(crate) fn left_out_by(&self, prefix: &str) -> Option<&'static str> {
        match () {
            () if self.contains(prefix) => None,
            () if self.0.includes(prefix) => Some("message.prefix.exclude.list"),
            () => Some(INCLUDED),
        }
    }
}

impl ConnectorConfig {
    /// Reads which logical decoding messages the configuration includes.
    ///
    /// # Errors
    /// Fails if there is no `message.prefix.include.list`, or an expression of a list cannot be used here.
    pub fn included_messages(&self) -> Result<IncludedMessages, Error> {
        let prefixes = List::of(self, "message.prefix")?;
        if prefixes.included.is_none() {
            let reason = "without it every message is taken for an event, and the task stops at a heartbeat: list the \
                          prefix of the outbox";
            return Err(Error::config(INCLUDED, "", reason));
        }
        Ok(IncludedMessages(prefixes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str)]) -> ConnectorConfig {
        let entries = entries.iter().map(|(key, list)| ((*key).to_owned(), (*list).to_owned())).collect();
        ConnectorConfig { entries }
    }

    #[test]
    fn a_list_names_whole_prefixes_without_regard_to_case() {
        let included = config(&[(INCLUDED, "outbox\\.message, app.*"), ("message.prefix.exclude.list", "app.beat")]);
        let included = included.included_messages().unwrap();
        for prefix in ["outbox.message", "OUTBOX.Message", "app.orders"] {
            assert!(included.contains(prefix), "{prefix}");
        }

        for (prefix, key) in [
            ("outbox.message2", INCLUDED),
            ("", INCLUDED),
            ("outbox", INCLUDED),
            ("app.beat", "message.prefix.exclude.list"),
        ] {
            assert_eq!(included.left_out_by(prefix), Some(key), "{prefix}");
        }
        assert!(config(&[]).included_messages().unwrap_err().is_configuration());
    }
}
