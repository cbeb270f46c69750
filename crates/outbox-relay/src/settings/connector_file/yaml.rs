use saphyr_parser::{Event, Parser, ScalarStyle};

/// A value of a YAML document.
#[derive(Debug)]
pub(super) enum Node {
    Scalar {
        text: String,
        is_plain: bool,
    },
    Mapping(Vec<(String, Self)>),
    /// A list, whose items are not kept, because no resource of a connector needs them.
    Sequence,
}

/// A mapping or a sequence that is still open.
enum Open {
    Mapping { entries: Vec<(String, Node)>, key: Option<String> },
    Sequence,
}

/// The largest nesting depth, which is more than a resource has.
const MOST_LEVELS: usize = 64;

impl Node {
    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Mapping(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Returns the text of a scalar that is not null; `true` and `false` stand for YAML's words for them.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, is_plain: false } => Some(text),
            // The words of YAML 1.1, by which Kubernetes reads resources.
            Self::Scalar { text, is_plain: true } => match text.as_str() {
                "" | "~" | "null" | "Null" | "NULL" => None,
                "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some("true"),
                "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some("false"),
                text => Some(text),
            },
            _ => None,
        }
    }

    /// Returns whether Kubernetes reads a number, and writes it as another text: `010` is 8, and `1_000` is 1000.
    pub(super) fn is_rewritten_number(&self) -> bool {
        let Self::Scalar { text, is_plain: true } = self else { return false };
        if !text.starts_with(|c: char| c.is_ascii_digit() || ['+', '-', '.'].contains(&c)) {
            return false;
        }

        let digits = text.replace('_', "");
        let unsigned = digits.trim_start_matches(['+', '-']);
        let prefixes = ["0x", "0X", "0o", "0O", "0b", "0B"];
        if let Some(digits) = prefixes.iter().find_map(|prefix| unsigned.strip_prefix(prefix)) {
            return digits.chars().all(|c| c.is_ascii_hexdigit());
        }
        let is_number = digits.chars().all(|c| c.is_ascii_digit() || ['+', '-', '.', 'e', 'E'].contains(&c));
        let as_integer = digits.parse::<i128>().map(|number| number.to_string());
        let as_float = digits.parse::<f64>().map(|number| number.to_string());
        is_number && as_integer.or(as_float).is_ok_and(|written| written != *text)
    }
}

/// Reads the documents of a text. Fails with the reason, which has no value of the text.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, String> {
    let (mut documents, mut open) = (Vec::new(), Vec::new());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let at = e.marker();
            format!("it is no YAML: the error is in line {}, column {}", at.line(), at.col() + 1)
        })?;
        if open.len() > MOST_LEVELS {
            return Err(format!("line {} is nested too deeply", span.start.line()));
        }
        let node = match event {
            Event::MappingStart(..) => {
                open.push(Open::Mapping { entries: Vec::new(), key: None });
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open::Sequence);
                continue;
            }
            Event::Scalar(text, style, _, tag) => {
                // A tag such as `!!str` says that the text counts.
                Node::Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain && tag.is_none() }
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Mapping { entries, .. }) => {
                    // The API server of Kubernetes rejects it as well.
                    if let Some(key) = repeated(&entries) {
                        return Err(format!(
                            "it has the key {key} twice, in a mapping before line {}",
                            span.end.line()
                        ));
                    }
                    Node::Mapping(entries)
                }
                Some(Open::Sequence) => Node::Sequence,
                None => continue,
            },
            Event::Alias(_) => {
                return Err(format!("line {} has an alias, which is not resolved here", span.start.line()));
            }
            _ => continue,
        };

        match open.last_mut() {
            None => documents.push(node),
            Some(Open::Sequence) => {}
            Some(Open::Mapping { entries, key }) => match (key.take(), node) {
                (Some(key), value) => entries.push((key, value)),
                (None, Node::Scalar { text, .. }) => *key = Some(text),
                (None, _) => return Err(format!("line {} has a key that is no text", span.start.line())),
            },
        }
    }
    Ok(documents)
}

/// Returns a key that a mapping has more than once.
fn repeated(entries: &[(String, Node)]) -> Option<&str> {
    let mut keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.iter().zip(keys.iter().skip(1)).find(|(key, next)| key == next).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:\\-\\[\\]{}&*!|> \n\"'#,?%@~]{0,60}") {
            _ = documents(&text);
        }
    }

    #[test]
    fn numbers_that_kubernetes_writes_in_another_way_are_found() {
        let is_rewritten = |text: &str| Node::Scalar { text: text.to_owned(), is_plain: true }.is_rewritten_number();
        for text in ["010", "1_000", "0x1F", "-0b1", "+1", "1.50", ".5", "1e3", "-0"] {
            assert!(is_rewritten(text), "{text}");
        }
        for text in ["0", "5432", "-1", "1.5", "10.0.0.1", "2026-05-01", "12:30", "-", "+inf", "1e", "3.7.0.Final"] {
            assert!(!is_rewritten(text), "{text}");
        }
        assert!(!Node::Scalar { text: "010".to_owned(), is_plain: false }.is_rewritten_number());
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), format!("{}{}", "[".repeat(70), "]".repeat(70))] {
            assert!(documents(&text).is_err());
        }
    }
}
