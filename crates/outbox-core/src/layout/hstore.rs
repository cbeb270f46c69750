//! Text of an `hstore`.

/// Returns the pairs of a text such as `"a"=>"1", "b"=>NULL`, in their order.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut pairs = Vec::new();
    let mut rest = text;

    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let after = after.strip_prefix("=>")?;
        let (value, after) = match after.strip_prefix("NULL") {
            Some(after) => (None, after),
            None => quoted(after).map(|(value, after)| (Some(value), after))?,
        };
        pairs.push((key, value));
        rest = if after.is_empty() { after } else { after.strip_prefix(", ")? };
    }
    Some(pairs)
}

/// Reads a quoted text, and returns the rest after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((content, chars.as_str())),
            '\\' => content.push(chars.next()?),
            c => content.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_taken_apart() {
        let found = pairs(r#""a"=>"1", "b c"=>NULL, "d"=>"x\"\\, y""#).unwrap();
        let texts: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(texts, [("a", Some("1")), ("b c", None), ("d", Some("x\"\\, y"))]);
        assert_eq!(pairs(""), Some(vec![]));
        for text in ["a", "\"a\"", "\"a\"=>1", "\"a\"=>\"1", "\"a\"=>\"1\",\"b\"=>NULL"] {
            assert_eq!(pairs(text), None, "{text}");
        }
    }
}
