//! Values in a template of YAML.

/// Returns a text as a double-quoted scalar, in which YAML has the escapes of JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the lines of a text for a literal block, which is indented by a number of spaces.
pub(super) fn block(text: &str, indent: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:indent$}{line}\n", "") };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_characters() {
        assert_eq!(quoted("a: \"b\"\n"), r#""a: \"b\"\n""#);
        assert_eq!(block("a\n\n b\n", 2), "  a\n\n   b\n");
    }
}
