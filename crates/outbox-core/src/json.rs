//! What has to be known of JSON text beyond its validity. Each function takes text that is valid JSON.

/// How deep arrays and objects are nested.
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

/// Why a `jsonb` column would refuse the text that a `json` column takes (PostgreSQL, "JSON Types").
pub(crate) fn jsonb_refusal(text: &str) -> Option<&'static str> {
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = match byte {
            b'"' => match string_refusal(tail) {
                Ok(after) => after,
                Err(reason) => return Some(reason),
            },
            b'-' | b'0'..=b'9' => {
                let end = rest.iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
                let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
                if overflows_numeric(number) {
                    return Some("jsonb stores numbers as numeric, and this one is out of its range");
                }
                after
            }
            _ => tail,
        };
    }
    None
}

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

/// PostgreSQL, "Arbitrary Precision Numbers": up to 131,072 digits before the point and 16,383 after it, where zeros
/// at the end count, and those in front do not.
fn overflows_numeric(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(i32::MAX)),
        None => (text, 0),
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let count = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX);
    let leading_zeros = whole.bytes().chain(fraction.bytes()).position(|digit| digit != b'0');
    let before = leading_zeros.map_or(0, |zeros| count(whole.len()) - count(zeros) + i64::from(exponent));
    let after = count(fraction.len()) - i64::from(exponent);
    // numeric_in refuses such an exponent of any number, zero included.
    exponent.unsigned_abs() >= i32::MAX.unsigned_abs() / 2 || before > 131_072 || after > 16_383
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
            "[-1e131071, 0.0001e131075, 0e200000, 1e-16383, 1.5e-16382, 0e-16383]",
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
            "1.5e-16383",
            "0e-16384",
            &format!("0.{}", "0".repeat(16_384)),
            &"9".repeat(131_073),
        ] {
            assert!(jsonb_refusal(text).is_some(), "{text}");
        }
    }
}
