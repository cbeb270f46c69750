use regex_lite::Regex;

use super::Finding;
use super::context_headers::ContextHeaders;
use super::resolved::Resolved;
use outbox_wal::TableName;

/// The condition under which Kafka Connect applies the router to a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouterPredicate {
    condition: Option<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    records: Records,
    is_negated: bool,
    topic_prefix: String,
}

/// The records that a condition holds for.
#[derive(Clone, Debug)]
enum Records {
    /// Those of these topics, before the router.
    OfTopics(Regex),
    /// All rows.
    All,
    None,
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
        let records = match class.strip_prefix("org.apache.kafka.connect.transforms.predicates.") {
            Some("TopicNameMatches") => {
                let key = format!("predicates.{name}.pattern");
                let pattern = config.get(&key).unwrap_or_default();
                let regex = Regex::new(&format!(r"\A(?:{pattern})\z"))
                    .map_err(|_| Finding::new(key, "this regular expression cannot be used here"))?;
                Records::OfTopics(regex)
            }
            // A row's record has a value.
            Some("RecordIsTombstone") => Records::None,
            Some("HasHeaderKey") => {
                let header = config.get(&format!("predicates.{name}.name")).unwrap_or_default();
                let context = ContextHeaders::of(config)?;
                let has = context.is_some_and(|headers| headers.iter().any(|(name, _)| name == header));
                if has { Records::All } else { Records::None }
            }
            _ => {
                let reason = "the relay knows the predicates TopicNameMatches, HasHeaderKey and RecordIsTombstone only";
                return Err(Finding::new(format!("predicates.{name}.type"), reason));
            }
        };
        let negate = config.get(&format!("transforms.{router}.negate"));
        let is_negated = negate.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let topic_prefix = config.get("topic.prefix").unwrap_or_default().to_owned();
        Ok(Self { condition: Some(Condition { records, is_negated, topic_prefix }) })
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
        let holds = match &condition.records {
            Records::OfTopics(topics) => topics.is_match(&topic),
            Records::All => true,
            Records::None => false,
        };
        holds != condition.is_negated
    }
}
