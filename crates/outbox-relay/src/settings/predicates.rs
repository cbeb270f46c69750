use outbox_core::TableLayout;
use regex_lite::Regex;

use super::Finding;
use super::resolved::Resolved;

/// Checks that the router's predicate, if it has one, lets the router see the rows of the outbox table. Rows that it leaves
/// out would become change events in Debezium, which the relay does not write.
pub(super) fn check(config: &Resolved, router: &str, table: &TableLayout) -> Result<(), Finding> {
    let key = format!("transforms.{router}.predicate");
    let Some(name) = config.get(&key).filter(|name| !name.is_empty()) else { return Ok(()) };
    let is_listed = config.get("predicates").unwrap_or_default().split(',').any(|listed| listed.trim() == name);
    if !is_listed {
        return Err(Finding::new(key, "the key predicates does not list this predicate"));
    }

    let class = config.get(&format!("predicates.{name}.type")).unwrap_or_default();
    let holds = match class.strip_prefix("org.apache.kafka.connect.transforms.predicates.") {
        Some("TopicNameMatches") => matches_topic(config, name, table)?,
        // A row's record has a value.
        Some("RecordIsTombstone") => false,
        _ => {
            let reason = "the relay knows the predicates TopicNameMatches and RecordIsTombstone only";
            return Err(Finding::new(format!("predicates.{name}.type"), reason));
        }
    };
    let is_negated =
        config.get(&format!("transforms.{router}.negate")).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if holds != is_negated {
        return Ok(());
    }
    let reason =
        "it keeps the rows of the outbox table from the EventRouter: Debezium would write them as change events";
    Err(Finding::new(key, reason))
}

/// Returns whether the predicate's pattern matches the topic that Debezium has for the table before the router.
fn matches_topic(config: &Resolved, name: &str, table: &TableLayout) -> Result<bool, Finding> {
    let key = format!("predicates.{name}.pattern");
    let pattern = config.get(&key).unwrap_or_default();
    let regex = Regex::new(&format!(r"\A(?:{pattern})\z"))
        .map_err(|_| Finding::new(key, "this regular expression cannot be used here"))?;
    let prefix = config.get("topic.prefix").unwrap_or_default();
    let topic: String = format!("{prefix}.{}.{}", table.schema().as_str(), table.table().as_str())
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .collect();
    Ok(regex.is_match(&topic))
}
