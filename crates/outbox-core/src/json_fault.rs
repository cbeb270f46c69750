use std::error::Error as StdError;
use std::fmt;

/// The error of serde for JSON that cannot be read, without the values that it quotes: they may be a payload's.
#[derive(Debug)]
pub(crate) struct JsonFault {
    what: String,
    line: usize,
    column: usize,
}

impl JsonFault {
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Io => "it cannot be read".to_owned(),
            serde_json::error::Category::Syntax => "it is no JSON".to_owned(),
            serde_json::error::Category::Eof => "it ends too early".to_owned(),
            serde_json::error::Category::Data => of_type(&error.to_string()),
        };
        Self { what, line: error.line(), column: error.column() }
    }
}

/// Creates an error of a type. The expectation of the type is the program's own text, but the unexpected value may come
/// from a payload.
fn of_type(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if message.starts_with("missing field `") || message.starts_with("duplicate field `") {
        return message.to_owned();
    }
    let is_serdes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "]
        .iter()
        .any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if is_serdes => format!("it is not of the type: expected {expected}"),
        _ => "it is not of the type".to_owned(),
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at line {}, column {}", self.what, self.line, self.column)
    }
}

impl StdError for JsonFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Card {
        #[expect(dead_code, reason = "it is only read")]
        number: i64,
    }

    #[test]
    fn what_was_found_is_not_told_and_what_was_expected_is() {
        for (json, told) in [
            ("{\"number\":\"4111 1111, expected 1111\"}", "it is not of the type: expected i64, at line 1, column "),
            ("{\"number\":4111.5}", "it is not of the type: expected i64, at line 1, column "),
            ("\"4111\"", "it is not of the type: expected struct Card, at line 1, column "),
            ("{\"holder\":4111}", "missing field `number`, at line 1, column "),
            ("{\"number\":4111", "it ends too early, at line 1, column "),
            ("{\"number\":4111 4}", "it is no JSON, at line 1, column "),
        ] {
            let fault = JsonFault::of(&serde_json::from_str::<Card>(json).unwrap_err()).to_string();
            assert!(fault.starts_with(told), "{fault}");
        }
    }
}
