use regex_lite::Regex;

use super::Finding;
use super::resolved::Resolved;
use outbox_wal::TableName;

/// The condition under which Kafka Connect applies the router to a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouterPredicate {
    condition: Option<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    /// The topics of the records, before the router; none for records without a value, which rows are not.
    topics: Option<Regex>,
    is_negated: bool,
    topic_prefix: String,
}

impl RouterPredicate {
    pub(super) fn of(config: &Resolved, router: &str) -> Result<Self, Finding> {
        let key = format!("transforms.{router}.predicate");
        let Some(name) = config.get(&key).filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let is_listed = config.get("predicates").unwrap_or_default().split(',').any(|listed| listed.trim() == name);
        if !is_listed {
            return Err(Finding::new(key, "the key predicates does not list this predicate"));
        }

        let class = config.get(&format!("predicates.{name}.type")).unwrap_or_default();
        let topics = match class.strip_prefix("org.apache.kafka.connect.transforms.predicates.") {
            Some("TopicNameMatches") => {
                let key = format!("predicates.{name}.pattern");
                let pattern = config.get(&key).unwrap_or_default();
                let regex = Regex::new(&format!(r"\A(?:{pattern})\z"))
                    .map_err(|_| Finding::new(key, "this regular expression cannot be used here"))?;
                Some(regex)
            }
            Some("RecordIsTombstone") => None,
            _ => {
                let reason = "the relay knows the predicates TopicNameMatches and RecordIsTombstone only";
                return Err(Finding::new(format!("predicates.{name}.type"), reason));
            }
        };
        let negate = config.get(&format!("transforms.{router}.negate"));
        let is_negated = negate.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let topic_prefix = config.get("topic.prefix").unwrap_or_default().to_owned();
        Ok(Self { condition: Some(Condition { topics, is_negated, topic_prefix }) })
    }

    /// Checks that the router sees the rows of the outbox table. Rows that it does not see would become change events in
    /// Debezium, which the relay does not write.
    pub(super) fn check(&self, router: &str, table: &TableName) -> Result<(), Finding> {
        if self.lets_through(table) {
            return Ok(());
        }
        let reason =
            "it keeps the rows of the outbox table from the EventRouter: Debezium would write them as change events";
        Err(Finding::new(format!("transforms.{router}.predicate"), reason))
    }

    /// Returns whether the router sees the rows of a table.
    pub(crate) fn lets_through(&self, table: &TableName) -> bool {
        let Some(condition) = &self.condition else { return true };
        // The topic that Debezium has for the table before the router.
        let topic: String = format!("{}.{table}", condition.topic_prefix)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
            .collect();
        let holds = condition.topics.as_ref().is_some_and(|topics| topics.is_match(&topic));
        holds != condition.is_negated
    }
}
