//! The properties of JSON text beyond its validity. Each function takes text that is valid JSON.

/// Returns how deep arrays and objects are nested.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut bytes = text.bytes();

    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return,
            _ => {}
        }
    }
}

/// The longest number that a `jsonb` column is given, in characters as PostgreSQL prints it. PostgreSQL stores
/// `1e131071` in a few bytes and prints 131,072: some thousands of them are more than logical decoding can hold, so
/// that no reader passes them. Jackson reads no longer number either.
const LONGEST_NUMBER: usize = 1_000;

/// Returns why a `jsonb` column must not get a text that a `json` column accepts, with the place in the text
/// (PostgreSQL, "JSON Types").
pub(crate) fn jsonb_refusal(text: &str) -> Option<(&'static str, usize)> {
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let place = text.len() - rest.len();
        rest = match byte {
            b'"' => match string_refusal(tail) {
                Ok(after) => after,
                Err(reason) => return Some((reason, place)),
            },
            b'-' | b'0'..=b'9' => {
                let (number, after) = rest.split_at(number_length(rest));
                let number = std::str::from_utf8(number).unwrap_or_default();
                match Numeric::parse(number) {
                    None => return Some(("jsonb stores numbers as numeric, and this one is out of its range", place)),
                    Some(numeric) if numeric.printed_length() > LONGEST_NUMBER => {
                        return Some(("jsonb prints this number with more than 1000 characters", place));
                    }
                    Some(_) => after,
                }
            }
            _ => tail,
        };
    }
    None
}

/// Returns the rest after the closing quote of a string, or the reason why `jsonb` refuses it. The caller has checked
/// the syntax.
fn string_refusal(mut rest: &[u8]) -> Result<&[u8], &'static str> {
    let mut high_surrogate = false;
    loop {
        let unit = match rest {
            [b'"', tail @ ..] if !high_surrogate => return Ok(tail),
            [b'\\', b'u', hex @ ..] => {
                let (digits, tail) = hex.split_at_checked(4).ok_or("an escape is cut off")?;
                rest = tail;
                std::str::from_utf8(digits).ok().and_then(|d| u16::from_str_radix(d, 16).ok()).unwrap_or(0)
            }
            [b'\\', _, tail @ ..] | [_, tail @ ..] => {
                rest = tail;
                u16::from(b'x')
            }
            [] => return Ok(rest),
        };
        match unit {
            0 => return Err("jsonb has no \\u0000"),
            0xD800..=0xDBFF if !high_surrogate => high_surrogate = true,
            0xDC00..=0xDFFF if high_surrogate => high_surrogate = false,
            0xDC00..=0xDFFF => return Err("jsonb refuses half of a surrogate pair"),
            _ if high_surrogate => return Err("jsonb refuses half of a surrogate pair"),
            _ => {}
        }
    }
}

/// Returns the text that PostgreSQL prints of a `jsonb` value, but for the order of members and for names that are
/// there twice, which it prints once; `None` if it is longer than the limit.
pub(crate) fn printed_by_jsonb(text: &str, limit: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;

    while let Some(byte) = rest.bytes().next() {
        if out.len() > limit {
            return None;
        }

        let length = match byte {
            b'"' => string_length(rest.as_bytes()),
            b'-' | b'0'..=b'9' => number_length(rest.as_bytes()),
            _ => 1,
        };
        let (token, after) = rest.split_at_checked(length)?;
        rest = after;

        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b',' => out.push_str(", "),
            b':' => out.push_str(": "),
            // It escapes only what JSON requires, as serde_json does.
            b'"' => match serde_json::from_str::<String>(token).and_then(|text| serde_json::to_string(&text)) {
                Ok(string) => out.push_str(&string),
                Err(_) => out.push_str(token),
            },
            b'-' | b'0'..=b'9' => match Numeric::parse(token) {
                Some(numeric) if numeric.printed_length() > limit => return None,
                Some(numeric) => numeric.print(&mut out),
                None => out.push_str(token),
            },
            _ => out.push_str(token),
        }
    }
    (out.len() <= limit).then_some(out)
}

fn number_length(text: &[u8]) -> usize {
    let end = text.iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
    end.unwrap_or(text.len())
}

/// Returns the length of the string that a text begins with, with its quotes.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 2)
}

/// A number as `numeric` holds it.
struct Numeric<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Numeric<'a> {
    /// Parses a number within PostgreSQL's limits. PostgreSQL, "Arbitrary Precision Numbers": up to 131,072 digits
    /// before the point and 16,383 after it, where zeros at the end count, and those in front do not. `None` beyond
    /// that.
    fn parse(text: &'a str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(i32::MAX)),
            None => (text, 0),
        };
        let digits = mantissa.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric =
            Self { is_negative: mantissa.len() > digits.len(), whole, fraction, exponent: i64::from(exponent) };

        // numeric_in refuses such an exponent of any number, zero included.
        let is_refused = exponent.unsigned_abs() >= i32::MAX.unsigned_abs() / 2
            || numeric.digits_before() > 131_072
            || count(fraction) - numeric.exponent > 16_383;
        (!is_refused).then_some(numeric)
    }

    /// Returns how many digits are before the point, without zeros in front; zero or less if there is none.
    fn digits_before(&self) -> i64 {
        let zeros = self.digits().position(|digit| digit != b'0');
        zeros.map_or(0, |zeros| count(self.whole) - i64::try_from(zeros).unwrap_or(i64::MAX) + self.exponent)
    }

    fn digits_after(&self) -> usize {
        usize::try_from(count(self.fraction) - self.exponent).unwrap_or(0)
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// Returns an upper bound: sign and point are always counted.
    fn printed_length(&self) -> usize {
        usize::try_from(self.digits_before()).unwrap_or(0).max(1) + self.digits_after() + 2
    }

    /// Writes the number as `numeric` of PostgreSQL prints it: without an exponent, and with the trailing zeros of its
    /// scale.
    fn print(&self, out: &mut String) {
        let is_zero = self.digits().all(|digit| digit == b'0');
        if self.is_negative && !is_zero {
            out.push('-');
        }

        // The digit of the place 0 is the one before the point.
        let point = count(self.whole) + self.exponent;
        let digit = |place: i64| {
            let index = usize::try_from(place).unwrap_or(usize::MAX);
            let after = index.wrapping_sub(self.whole.len());
            let digit = self.whole.as_bytes().get(index).or_else(|| self.fraction.as_bytes().get(after));
            char::from(digit.copied().unwrap_or(b'0'))
        };
        let before = self.digits_before();
        if before <= 0 {
            out.push('0');
        }
        out.extend((point - before.max(0)..point).map(digit));

        if self.digits_after() > 0 {
            out.push('.');
            out.extend((point..point + count_of(self.digits_after())).map(digit));
        }
    }
}

fn count(digits: &str) -> i64 {
    count_of(digits.len())
}

fn count_of(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_takes_ordinary_json() {
        for text in [
            r#"{"a":[1,2.5,-3e4,1e400,0.1,0,-0],"b":"\ud83d\ude00 \\u0000 \" x","c":null}"#,
            r#""\\\\u0000""#,
            "12345678901234567890",
            "[-1e996, 0.0001e1001, 0e200000, 1e-996, 1.5e-996, 0e-996]",
            "[1.7976931348623157e308,-5e-324]",
        ] {
            assert_eq!(jsonb_refusal(text), None, "{text}");
        }
    }

    #[test]
    fn jsonb_refuses_nul_lone_surrogates_and_huge_numbers() {
        for text in [
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#""\ud800""#,
            r#""\ud800x""#,
            r#""\ud800\ud800""#,
            r#""\udc00""#,
            "[1e200000]",
            "1e-20000",
            "1e99999999999999999999",
            "0e99999999999999999999",
            "1e131072",
            "[-1e131071]",
            "1e1000",
            "0e-1000",
            "1.5e-16383",
            "0e-16384",
            &format!("0.{}", "0".repeat(16_384)),
            &"9".repeat(131_073),
        ] {
            assert!(jsonb_refusal(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_place() {
        assert_eq!(jsonb_refusal(r#"{"a":1e131071}"#).map(|(_, place)| place), Some(5));
        assert_eq!(jsonb_refusal(r#"["x","\u0000"]"#).map(|(_, place)| place), Some(5));
    }

    /// The right side is what PostgreSQL 15 prints; members in the order of their names, as it has them.
    #[test]
    fn texts_as_jsonb_prints_them() {
        for (text, printed) in [
            ("[1,2.50 , -3e4,1e3, 0.1 ,0,-0,-0.00]", "[1, 2.50, -30000, 1000, 0.1, 0, 0, 0.00]"),
            ("[1.5e3,1.5e-3,15e-1,0.001e2,0.001e5,0e0]", "[1500, 0.0015, 1.5, 0.1, 100, 0]"),
            ("[0e-3,0e3,123.456e1,123.456e-4,-1E+2]", "[0.000, 0, 1234.56, 0.0123456, -100]"),
            (r#"{"a":1,"bb":{"c":[]}}"#, r#"{"a": 1, "bb": {"c": []}}"#),
            (r#""\ud83d\ude00\/\b\f\n\r\t\u0001\u007f\"\\\\é""#, "\"😀/\\b\\f\\n\\r\\t\\u0001\u{7f}\\\"\\\\\\\\é\""),
        ] {
            assert_eq!(printed_by_jsonb(text, 1_000).as_deref(), Some(printed), "{text}");
            assert_eq!(printed_by_jsonb(text, printed.len() - 1), None, "{text}");
        }
        assert_eq!(printed_by_jsonb("[1e131071]", 100_000), None);
    }
}
