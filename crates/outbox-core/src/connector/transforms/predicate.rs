use super::options::listed;
use crate::Error;
use crate::connector::route::DEFAULT_REGEX;
use crate::connector::{ConnectorConfig, JavaRegex, Placed};

/// The beginning of the names of the connector's own headers.
pub(super) const CONTEXT: &str = "__debezium.context.";

/// The condition under which Kafka Connect applies a transformation to a record.
#[derive(Clone, Debug)]
pub(super) struct Predicate(Option<Condition>);

#[derive(Clone, Debug)]
struct Condition {
    records: Records,
    is_negated: bool,
}

/// The records that a condition holds for.
#[derive(Clone, Debug)]
enum Records {
    OfTopics { key: String, regex: JavaRegex, pattern: String },
    WithHeader(String),
    WithoutValue,
}

/// The source of the rows that the transformations see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowSource<'a> {
    /// The rows of a table, by its schema and name.
    Table(&'a str, &'a str),
    /// Logical decoding messages.
    Messages,
}

/// A row's record before an EventRouter has seen it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) schema: String,
    pub(super) topic: String,
    pub(super) headers: Vec<String>,
}

/// The parts of a router's records that later transformations may have changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    pub(super) topics: bool,
    pub(super) headers: bool,
}

impl Source {
    pub(super) fn new(config: &ConnectorConfig, source: RowSource<'_>) -> Self {
        let prefix = config.trimmed("topic.prefix").unwrap_or_default();
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let (schema, topic) = match source {
            RowSource::Table(schema, table) => {
                let delimiter = config.trimmed("topic.delimiter").unwrap_or(".");
                (schema, format!("{prefix}{delimiter}{schema}{delimiter}{table}"))
            }
            RowSource::Messages => ("", format!("{prefix}.message")),
        };
        let topic = topic.chars().map(|c| if is_legal(c) { c } else { '_' }).collect();
        let names = ["connectorLogicalName", "taskId", "connectorName", "runId"];
        let headers = match has_context_headers(config) {
            true => names.map(|name| format!("{CONTEXT}{name}")).to_vec(),
            false => Vec::new(),
        };

        Self { schema: schema.to_owned(), topic, headers }
    }
}

pub(super) fn has_context_headers(config: &ConnectorConfig) -> bool {
    config.boolean("extended.headers.enabled", true).unwrap_or(true)
}

impl Predicate {
    /// Reads the predicate of a transformation.
    pub(super) fn of(config: &ConnectorConfig, transformation: &str) -> Result<Self, Error> {
        let key = |option: &str| format!("transforms.{transformation}.{option}");
        let name = config.trimmed(&key("predicate")).filter(|name| !name.is_empty());
        let Some(name) = name else {
            return match config.get(&key("negate")) {
                None => Ok(Self(None)),
                Some(value) => Err(Error::config(key("negate"), value, "there is no predicate to negate")),
            };
        };
        if !listed(config, "predicates").contains(&name) {
            let reason = "the key predicates does not list this predicate";
            return Err(Error::config(key("predicate"), name, reason));
        }

        let option = |option: &str| config.trimmed(&format!("predicates.{name}.{option}")).unwrap_or_default();
        let class = option("type");
        let records = match class.strip_prefix("org.apache.kafka.connect.transforms.predicates.") {
            Some("TopicNameMatches") => {
                let pattern = option("pattern");
                let key = format!("predicates.{name}.pattern");
                let regex =
                    JavaRegex::parse(pattern).map_err(|error| Error::config(&*key, pattern, error.to_string()))?;
                Records::OfTopics { key, regex, pattern: pattern.to_owned() }
            }
            Some("HasHeaderKey") => Records::WithHeader(option("name").to_owned()),
            Some("RecordIsTombstone") => Records::WithoutValue,
            _ => {
                let reason = "there are the predicates TopicNameMatches, HasHeaderKey and RecordIsTombstone";
                return Err(Error::config(format!("predicates.{name}.type"), class, reason));
            }
        };

        let is_negated = config.boolean(&key("negate"), false)?;
        Ok(Self(Some(Condition { records, is_negated })))
    }

    /// Returns whether there is a condition at all.
    pub(super) fn is_condition(&self) -> bool {
        self.0.is_some()
    }

    /// Returns whether it holds for a row, which has a value.
    pub(super) fn holds_before(&self, source: &Source) -> Result<bool, Error> {
        self.holds(&source.topic, false, |name| source.headers.iter().any(|header| header == name))
    }

    /// Returns whether it holds for a record.
    ///
    /// # Errors
    /// The expression of the predicate takes too long at this topic.
    pub(super) fn holds(&self, topic: &str, is_null: bool, has_header: impl Fn(&str) -> bool) -> Result<bool, Error> {
        let Some(Condition { records, is_negated }) = &self.0 else { return Ok(true) };
        let holds = match records {
            Records::OfTopics { key, regex, .. } => {
                regex.matches(topic).map_err(|error| Error::encode(&**key, error.to_string()))?
            }
            Records::WithHeader(name) => has_header(name),
            Records::WithoutValue => is_null,
        };
        Ok(holds != *is_negated)
    }

    /// Returns whether it may hold for a record that the router made, as far as the configuration says.
    pub(super) fn may_hold_after(
        &self,
        config: &ConnectorConfig,
        router: &str,
        source: &Source,
        changes: Changes,
    ) -> bool {
        let Some(Condition { records, is_negated }) = &self.0 else { return true };
        match records {
            Records::OfTopics { .. } if *is_negated => true,
            Records::OfTopics { pattern, .. } => may_match_topics(pattern, config, router, changes),
            Records::WithHeader(_) if changes.headers => true,
            Records::WithHeader(name) => {
                let placed = Placed::list(config, &format!("transforms.{router}.table.fields.additional.placement"));
                let is_placed = placed.iter().flatten().any(|placed| placed.alias == *name);
                let has = name == "id" || is_placed || source.headers.contains(name);
                has != *is_negated
            }
            Records::WithoutValue => true,
        }
    }
}

/// Returns whether a regular expression may match a topic of the router's records, as far as the configuration says.
pub(super) fn may_match_topics(pattern: &str, config: &ConnectorConfig, router: &str, changes: Changes) -> bool {
    let beginnings = (literal_beginning(pattern), topic_beginning(config, router));
    changes.topics || beginnings.0.starts_with(&beginnings.1) || beginnings.1.starts_with(&beginnings.0)
}

/// Returns the text with which everything begins that a regular expression matches.
fn literal_beginning(pattern: &str) -> String {
    if pattern.contains('|') {
        return String::new();
    }

    let mut literal = String::new();
    let mut chars = pattern.strip_prefix('^').unwrap_or(pattern).chars().peekable();

    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => literal.push(escaped),
                _ => break,
            },
            '.' | '(' | ')' | '[' | '{' | '$' | '^' => break,
            // A character that may be repeated may be absent.
            '*' | '?' | '+' => {
                literal.pop();
                break;
            }
            other => literal.push(other),
        }
        if chars.peek() == Some(&'{') {
            literal.pop();
            break;
        }
    }
    literal
}

/// Returns the text with which all topics of a router begin.
fn topic_beginning(config: &ConnectorConfig, router: &str) -> String {
    let option = |option: &str| config.trimmed(&format!("transforms.{router}.{option}"));
    let matches_all =
        [DEFAULT_REGEX, "(.*)", ".*", "(.+)", ".+"].contains(&option("route.topic.regex").unwrap_or(DEFAULT_REGEX));
    let replacement = option("route.topic.replacement").unwrap_or("outbox.event.");
    match replacement.split(['$', '\\']).next() {
        Some(literal) if matches_all => literal.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_regular_expression_is_found() {
        for (pattern, beginning) in [
            ("__debezium-heartbeat.*", "__debezium-heartbeat"),
            ("^p\\.public\\.outbox$", "p.public.outbox"),
            ("ab*c", "a"),
            ("ab{0}", "a"),
            ("a\\d", "a"),
            ("a|b", ""),
            ("(a)", ""),
        ] {
            assert_eq!(literal_beginning(pattern), beginning, "{pattern}");
        }
    }
}
