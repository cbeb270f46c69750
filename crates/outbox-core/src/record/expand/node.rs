use std::collections::HashMap;

/// A JSON document with its members in order and its numbers as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    /// A text with half of a surrogate pair in it, which Java's strings can hold.
    Units(Vec<u16>),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    /// Reads the first value of a text that starts with valid JSON; `None` if a member's name is not Unicode.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Parser { rest: text }.value()
    }

    /// Returns which of JSON's types it is.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool(_) => "BOOLEAN",
            Self::Number(_) => "NUMBER",
            Self::Text(_) | Self::Units(_) => "STRING",
            Self::Array(_) => "ARRAY",
            Self::Object(_) => "OBJECT",
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Option<Node> {
        match self.peek()? {
            '{' => self.object(),
            '[' => self.array(),
            '"' => {
                let quoted = self.quoted()?;
                Some(serde_json::from_str(quoted).map_or_else(|_| Node::Units(units(quoted)), Node::Text))
            }
            't' => self.take(4).map(|_| Node::Bool(true)),
            'f' => self.take(5).map(|_| Node::Bool(false)),
            'n' => self.take(4).map(|_| Node::Null),
            _ => {
                let end = self.rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
                self.take(end.unwrap_or(self.rest.len())).map(|number| Node::Number(number.to_owned()))
            }
        }
    }

    /// Parses an object. The caller has checked the syntax, so `None` means a name that is not Unicode.
    fn object(&mut self) -> Option<Node> {
        let mut members: Vec<(String, Node)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        self.take(1)?;

        while self.peek()? != '}' {
            let name: String = serde_json::from_str(self.quoted()?).ok()?;
            self.peek()?;
            self.take(1)?;
            let value = self.value()?;
            // As in Jackson, the last value counts, at the place of the first.
            match position(&members, &mut places, &name).and_then(|place| members.get_mut(place)) {
                Some((_, slot)) => *slot = value,
                None => members.push((name, value)),
            }

            if self.peek()? == ',' {
                self.take(1)?;
                self.peek()?;
            }
        }

        self.take(1)?;
        Some(Node::Object(members))
    }

    fn array(&mut self) -> Option<Node> {
        let mut elements = Vec::new();
        self.take(1)?;
        while self.peek()? != ']' {
            elements.push(self.value()?);
            if self.peek()? == ',' {
                self.take(1)?;
            }
        }
        self.take(1)?;
        Some(Node::Array(elements))
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        self.take(end + 2)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
        self.rest.chars().next()
    }

    fn take(&mut self, len: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Returns the index of a name among the members. They are searched while they are few, and indexed when they are many.
fn position(members: &[(String, Node)], places: &mut HashMap<String, usize>, name: &str) -> Option<usize> {
    if members.len() <= 16 {
        return members.iter().position(|(known, _)| known == name);
    }
    let indexed = places.len();
    places.extend(members.iter().enumerate().skip(indexed).map(|(place, (name, _))| (name.clone(), place)));
    places.get(name).copied()
}

/// Returns the UTF-16 of a JSON string, in its quotes.
fn units(quoted: &str) -> Vec<u16> {
    let mut units = Vec::new();
    let mut rest = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();

    while let Some((text, escape)) = rest.split_once('\\') {
        units.extend(text.encode_utf16());
        let mut chars = escape.chars();
        let unit = match chars.next() {
            Some('u') => escape.get(1..5).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default(),
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            other => other.and_then(|c| u16::try_from(u32::from(c)).ok()).unwrap_or_default(),
        };

        units.push(unit);
        rest = if escape.starts_with('u') { escape.get(5..).unwrap_or_default() } else { chars.as_str() };
    }

    units.extend(rest.encode_utf16());
    units
}
