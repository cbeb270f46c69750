/// Writes a JSON string as Jackson does by default: what is beyond the Basic Multilingual Plane is escaped as a
/// surrogate pair, control characters in short form or as `\u00XX`.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{10000}'.. => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_as_jackson_writes_them() {
        let mut out = String::new();
        push_string(&mut out, "a/\"\\\u{1}\u{1f}\n\u{7f}é\u{2028}😀");
        assert_eq!(out, "\"a/\\\"\\\\\\u0001\\u001F\\n\u{7f}é\u{2028}\\uD83D\\uDE00\"");
    }

    proptest! {
        #[test]
        fn every_string_is_read_back(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
