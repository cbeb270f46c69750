/// Writes a JSON string as Jackson does by default: what is beyond the Basic Multilingual Plane is escaped as a
/// surrogate pair, control characters in short form or as `\u00XX`.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| push_char(out, c));
    out.push('"');
}

/// Appends a string as [`push_string`] does, for a string of Java's: half of a surrogate pair is escaped too.
pub(super) fn push_units(out: &mut String, units: &[u16]) {
    out.push('"');
    for c in char::decode_utf16(units.iter().copied()) {
        match c {
            Ok(c) => push_char(out, c),
            Err(half) => push_escaped(out, half.unpaired_surrogate()),
        }
    }
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\u{1f}' | '\u{10000}'.. => {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_escaped(out, *unit));
        }
        _ => out.push(c),
    }
}

fn push_escaped(out: &mut String, unit: u16) {
    out.push_str(&format!("\\u{unit:04X}"));
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
