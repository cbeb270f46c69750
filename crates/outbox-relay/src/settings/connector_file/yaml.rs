use saphyr_parser::{Event, Parser, ScalarStyle};

/// A value of a YAML document.
#[derive(Debug)]
pub(super) enum Node {
    Scalar {
        text: String,
        is_plain: bool,
    },
    Mapping(Vec<(String, Self)>),
    /// A list, whose items no resource of a connector needs.
    Sequence,
}

/// A mapping or a sequence whose end was not reached.
enum Open {
    Mapping { entries: Vec<(String, Node)>, key: Option<String> },
    Sequence,
}

/// More than a resource has.
const MOST_LEVELS: usize = 64;

impl Node {
    /// Returns the value of a key, the last one if the key is repeated.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Mapping(entries) => entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value),
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
                "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some("true"),
                "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some("false"),
                text => Some(text),
            },
            _ => None,
        }
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
            Event::Scalar(text, style, ..) => {
                Node::Scalar { text: text.into_owned(), is_plain: style == ScalarStyle::Plain }
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Mapping { entries, .. }) => Node::Mapping(entries),
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
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), format!("{}{}", "[".repeat(70), "]".repeat(70))] {
            assert!(documents(&text).is_err());
        }
    }
}
