use fancy_regex::Captures;

use super::JavaRegex;
use crate::Error;

/// `route.topic.regex` and `route.topic.replacement`: Kafka's RegexRouter, in Java's syntax.
#[derive(Clone, Debug)]
pub(crate) struct TopicRoute {
    /// The key of the expression.
    key: Box<str>,
    regex: JavaRegex,
    template: Vec<Part>,
    /// The prefix and the suffix around the routed value, if the topic contains it.
    affixes: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Group(usize),
    Named(String),
}

pub(super) const DEFAULT_REGEX: &str = "(?<routedByValue>.*)";
pub(super) const DEFAULT_REPLACEMENT: &str = "outbox.event.${routedByValue}";

impl TopicRoute {
    pub(super) fn new(keys: (&str, &str), regex: &str, replacement: &str) -> Result<Self, Error> {
        let affixes_of = |template: &[Part]| if regex == DEFAULT_REGEX { affixes(template) } else { None };
        let regex = JavaRegex::parse(regex).map_err(|error| Error::config(keys.0, regex, error.to_string()))?;
        let template = template(replacement, &regex).map_err(|reason| Error::config(keys.1, replacement, reason))?;
        let affixes = affixes_of(&template);
        Ok(Self { key: keys.0.into(), regex, template, affixes })
    }

    /// Returns the topic for a routed value: the value itself if the expression does not match all of it.
    ///
    /// # Errors
    /// The expression takes too long at this value.
    pub(crate) fn topic(&self, value: &str) -> Result<String, Error> {
        // The usual route, without the regular expression; its dot stops at the end of a line.
        if let Some((prefix, suffix)) = &self.affixes
            && !value.contains('\n')
        {
            return Ok([prefix, value, suffix].concat());
        }
        Ok(self.matched(value)?.unwrap_or_else(|| value.to_owned()))
    }

    /// Returns the topic for a value, if the expression matches the whole value.
    pub(crate) fn matched(&self, value: &str) -> Result<Option<String>, Error> {
        // The RegexRouter asks matches(), then replaceFirst(), which may find a shorter match.
        let found = self.regex.matches(value).and_then(|is_whole| match is_whole {
            true => self.regex.find(value),
            false => Ok(None),
        });
        let captures = found.map_err(|error| Error::encode(&*self.key, error.to_string()))?;
        Ok(captures.map(|captures| self.replace_first(value, &captures)))
    }

    /// Returns the routed value of a topic, if the topic contains it.
    pub(crate) fn routed_value<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let (prefix, suffix) = self.affixes.as_ref()?;
        topic.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())
    }

    /// Returns whether a topic contains the routed value.
    pub(crate) fn shows_value(&self) -> bool {
        self.affixes.is_some()
    }

    fn replace_first(&self, value: &str, captures: &Captures<'_, str>) -> String {
        let (start, end) = captures.get(0).map_or((0, 0), |m| (m.start(), m.end()));
        let mut topic = value.get(..start).unwrap_or_default().to_owned();
        for part in &self.template {
            topic.push_str(match part {
                Part::Literal(text) => text,
                Part::Group(index) => captures.get(*index).map_or("", |m| m.as_str()),
                Part::Named(name) => captures.name(name).map_or("", |m| m.as_str()),
            });
        }
        topic.push_str(value.get(end..).unwrap_or_default());
        topic
    }
}

/// Parses the syntax of `java.util.regex.Matcher.appendReplacement`.
fn template(replacement: &str, regex: &JavaRegex) -> Result<Vec<Part>, &'static str> {
    let groups = regex.groups();
    let mut parts = vec![];
    let mut literal = String::new();
    let mut chars = replacement.chars().peekable();

    while let Some(c) = chars.next() {
        let part = match c {
            '\\' => {
                literal.push(chars.next().ok_or("a backslash has nothing behind it")?);
                continue;
            }
            '$' if chars.next_if_eq(&'{').is_some() => {
                let name: String = std::iter::from_fn(|| chars.next_if(|c| *c != '}')).collect();
                chars.next().ok_or("a ${ is not closed")?;
                if !regex.has_group(&name) {
                    return Err("a ${name} is no group of the regular expression");
                }
                Part::Named(name)
            }
            '$' => {
                let digit =
                    chars.next().and_then(|c| c.to_digit(10)).ok_or("a $ is followed by a group's number or {name}")?;
                let mut group = digit as usize;

                // The longest run of digits that names a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer >= groups {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                if group >= groups {
                    return Err("a $n is no group of the regular expression");
                }
                Part::Group(group)
            }
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(part);
    }

    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn affixes(template: &[Part]) -> Option<(String, String)> {
    let is_value = |part: &Part| matches!(part, Part::Group(0 | 1)) || *part == Part::Named("routedByValue".into());
    match template {
        [value] if is_value(value) => Some((String::new(), String::new())),
        [Part::Literal(prefix), value] if is_value(value) => Some((prefix.clone(), String::new())),
        [value, Part::Literal(suffix)] if is_value(value) => Some((String::new(), suffix.clone())),
        [Part::Literal(prefix), value, Part::Literal(suffix)] if is_value(value) => {
            Some((prefix.clone(), suffix.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(regex: &str, replacement: &str, value: &str) -> String {
        TopicRoute::new(("regex", "replacement"), regex, replacement).unwrap().topic(value).unwrap()
    }

    #[test]
    fn topics_as_the_regex_router_makes_them() {
        assert_eq!(topic(DEFAULT_REGEX, DEFAULT_REPLACEMENT, "Order"), "outbox.event.Order");
        assert_eq!(topic(DEFAULT_REGEX, "${routedByValue}.events", "order"), "order.events");
        assert_eq!(topic("(.*)_v(\\d+)", "t-$2-$1", "order_v12"), "t-12-order");
        assert_eq!(topic("(a)(b)", "$10$2", "ab"), "a0b");
        assert_eq!(topic("only-this", "x", "Order"), "Order", "no match keeps the value");
        assert_eq!(topic("a|ab", "x", "ab"), "xb", "replaceFirst finds the shorter match");
        assert_eq!(topic(".*", "a\\$b\\\\c", "x"), "a$b\\c");
        assert_eq!(topic(".*", "$0.$0", "x"), "x.x");
        assert_eq!(topic("(?!internal)(.*)", "t.$1", "order"), "t.order");
        assert_eq!(topic("(?!internal)(.*)", "t.$1", "internal-x"), "internal-x");
        assert_eq!(topic("\\p{Lower}++-(?<n>.*)", "${n}", "ab-c"), "c");
    }

    #[test]
    fn templates_that_java_would_refuse_are_refused() {
        for (regex, replacement) in
            [(".*", "$1"), (".*", "${x}"), (".*", "$"), (".*", "a\\"), (".*", "${x"), ("(", "x"), ("\\X", "y")]
        {
            let error = TopicRoute::new(("regex", "replacement"), regex, replacement).unwrap_err();
            assert!(error.is_configuration(), "{regex} {replacement}");
        }
    }

    #[test]
    fn a_topic_tells_the_routed_value_where_it_can() {
        let route = |regex, replacement| TopicRoute::new(("regex", "replacement"), regex, replacement).unwrap();
        assert_eq!(route(DEFAULT_REGEX, "a.${routedByValue}.b").routed_value("a.order.b"), Some("order"));
        assert_eq!(route(DEFAULT_REGEX, "a.${routedByValue}").routed_value("b.order"), None);
        assert_eq!(route(DEFAULT_REGEX, "fixed").routed_value("fixed"), None);
        assert_eq!(route("(.*)", "a.$1").routed_value("a.order"), None);
    }
}
