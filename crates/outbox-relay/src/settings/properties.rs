//! Java's properties files (`java.util.Properties.load`).

/// The value of a key; of those that a key has, the last.
pub(super) fn value(text: &str, key: &str) -> Option<String> {
    let mut found = None;
    for line in logical_lines(text) {
        let (name, value) = entry(&line);
        if name == key {
            found = Some(value);
        }
    }
    found
}

/// Lines without comments, joined where one ends in an odd number of backslashes.
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

/// The key goes up to the first `=`, `:` or white space that no backslash escapes.
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
            assert_eq!(value(text, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(value(text, "b"), None);
        assert_eq!(value("a=1\\", "a").as_deref(), Some("1"));
    }
}
