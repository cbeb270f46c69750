use outbox_core::connector::keys::{KeyFinding, KeySeverity, KeyTable};

use super::finding::{Finding, Findings};
use super::resolved::Resolved;

/// The policy for keys that are in no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UnknownKeys {
    #[default]
    Warned,
    Rejected,
}

/// Checks every key of the configuration, and those that are absent and would harm by their default.
pub(super) fn check(config: &Resolved, unknown: UnknownKeys, findings: &mut Findings) {
    let (table, values) = (KeyTable::for_config(config.values()), config.values());
    add(table.findings_of_present(values), findings);

    let strangers: Vec<&str> = config.iter().map(|(key, _)| key).filter(|key| table.support(key).is_none()).collect();
    if !strangers.is_empty() {
        let reason = "not known of Kafka Connect, Debezium's PostgreSQL connector, the EventRouter or their converters";
        let finding = Finding::new(strangers.join(", "), reason);
        match unknown {
            UnknownKeys::Warned => findings.warn(finding),
            UnknownKeys::Rejected => findings.reject(finding.with_remedy("correct or remove it")),
        }
    }

    add(table.findings_of_absent(values), findings);
}

fn add(found: Vec<KeyFinding>, findings: &mut Findings) {
    for found in found {
        let finding = Finding::new(found.key(), found.reason());
        let finding = match found.remedy() {
            Some(remedy) => finding.with_remedy(remedy),
            None => finding,
        };
        match found.severity() {
            KeySeverity::Warned => findings.warn(finding),
            _ => findings.reject(finding),
        }
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::{ConnectorConfig, TableLayout};

    use crate::RelaySettings;

    fn check(key: &str, value: &str) -> crate::ConfigurationCheck {
        let config = ConnectorConfig::recommended(&TableLayout::recommended()).with(key, value);
        RelaySettings::builder(config, ["k:1"]).check()
    }

    #[test]
    fn values_that_debezium_rejects_are_rejected() {
        for (key, value, reason) in [
            ("tombstones.on.delete", "no", "one of true, false"),
            ("poll.interval.ms", "0", "at least 1"),
            ("tasks.max", "many", "at least 1"),
            ("max.queue.size", "2048", "larger than max.batch.size"),
            (
                "topic.naming.strategy",
                "io.debezium.schema.DefaultRegexTopicNamingStrategy",
                "topics that predicates see",
            ),
            ("lsn.flush.mode", "never", "one of connector, connector_and_driver, manual"),
        ] {
            let check = check(key, value);
            let finding = check.rejected().iter().find(|finding| finding.key() == key).unwrap();
            assert!(finding.reason().contains(reason), "{finding}");
        }
    }

    #[test]
    fn values_with_another_effect_are_a_warning() {
        for (key, value, reason) in [
            ("lsn.flush.mode", "manual", "confirms what it has written"),
            ("flush.lsn.source", "false", "confirms what it has written"),
            ("database.sslmode", "allow", "an encrypted connection first"),
        ] {
            let check = check(key, value);
            let finding = check.warnings().iter().find(|finding| finding.key() == key).unwrap();
            assert!(check.is_accepted() && finding.reason().contains(reason), "{finding}");
        }
    }
}
