use std::fmt;

/// The entries of a Java properties file (`java.util.Properties.load`). `Debug` shows the keys and no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Parses a file's text. Java accepts any text, and so does this.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(logical_lines(text).iter().map(|line| entry(line)).collect())
    }

    /// Parses the bytes of a file that Java reads as ISO 8859-1, such as those that a program of Kafka takes on its
    /// command line. Other characters are written `\uXXXX` in it.
    #[must_use]
    pub fn from_latin1(bytes: &[u8]) -> Self {
        Self::parse(&bytes.iter().map(|&byte| char::from(byte)).collect::<String>())
    }

    /// Returns the value of a key; the last one if the key occurs several times.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns all keys and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// Returns lines without comments, joined where one ends in an odd number of backslashes.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;

    for line in text.split(['\n', '\r']) {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }

        let mut joined = open.take().unwrap_or_default();
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        match line.strip_suffix('\\') {
            Some(head) if backslashes % 2 == 1 => {
                joined.push_str(head);
                open = Some(joined);
            }
            _ => {
                joined.push_str(line);
                lines.push(joined);
            }
        }
    }

    lines.extend(open);
    lines
}

/// Splits a line: the key goes up to the first `=`, `:` or white space that no backslash escapes.
fn entry(line: &str) -> (String, String) {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let ends = !is_escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}');
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let white = [' ', '\t', '\u{c}'];
    let rest = rest.trim_start_matches(white);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(white);
    (unescaped(key), unescaped(value))
}

/// Replaces the escapes of a properties file as Java does, where a backslash before any other character has no effect.
fn unescaped(text: &str) -> String {
    // Escapes are UTF-16: a pair of them may be one character.
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();

    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => {
                let (digits, rest) = chars.as_str().split_at_checked(4).unwrap_or((chars.as_str(), ""));
                units.push(u16::from_str_radix(digits, 16).unwrap_or(0xfffd));
                chars = rest.chars();
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\u{c}',
            (_, Some(escaped)) => escaped,
            (c, None) => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# a comment\n  ! another\n\nplain=secret\r\nspaced = a b \ncolon:x=y\nwhite\tv\nnone\n\
                    long=a\\\n   b\\\n  c\nback=a\\\\\nunicode=\\u00e9\\ud83d\\ude00\\t!\nk\\=e\\:y\\ =1\nplain=later\n";
        let cases = [
            ("plain", "later"),
            ("spaced", "a b "),
            ("colon", "x=y"),
            ("white", "v"),
            ("none", ""),
            ("long", "abc"),
            ("back", "a\\"),
            ("unicode", "é😀\t!"),
            ("k=e:y ", "1"),
        ];

        for (key, expected) in cases {
            assert_eq!(Properties::parse(text).get(key), Some(expected), "{key}");
        }

        assert_eq!(Properties::parse(text).get("b"), None);
        assert_eq!(Properties::parse("a=1\\").get("a"), Some("1"));
        assert!(!format!("{:?}", Properties::parse(text)).contains("secret"));
    }

    #[test]
    fn each_byte_is_a_character_of_latin1() {
        let properties = Properties::from_latin1(b"a=\xe9\nb=\\u20ac");
        assert_eq!((properties.get("a"), properties.get("b")), (Some("é"), Some("€")));
    }

    fn escaped(text: &str) -> String {
        let mut written = String::new();
        for c in text.chars() {
            match c {
                '\n' => written.push_str("\\n"),
                '\r' => written.push_str("\\r"),
                '\u{c}' => written.push_str("\\f"),
                ' ' | '\t' | '=' | ':' | '#' | '!' | '\\' => written.extend(['\\', c]),
                c if (' '..='~').contains(&c) => written.push(c),
                c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| written.push_str(&format!("\\u{unit:04X}"))),
            }
        }
        written
    }

    proptest! {
        #[test]
        fn what_is_escaped_as_java_does_is_read_back(
            entries in proptest::collection::vec((any::<String>(), any::<String>()), 0..5), separator in "[ \t]?[=:][ \t]?"
        ) {
            // A tab that Java writes as it is needs its backslash here too.
            let text: String = entries.iter().map(|(k, v)| format!("{}{separator}{}\n", escaped(k), escaped(v))).collect();
            let read = Properties::parse(&text);
            prop_assert!(read.iter().eq(entries.iter().map(|(k, v)| (k.as_str(), v.as_str()))), "{text:?}");
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = Properties::parse(&text);
        }
    }
}
