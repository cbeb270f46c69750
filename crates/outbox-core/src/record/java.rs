/// Returns a double as Java's `Double.toString` writes it since JDK 19: as few digits as name it but two at least, and
/// of those the nearest; between two that are equally near, the even one.
pub(super) fn double_to_string(value: f64) -> String {
    to_string(value, &format!("{value:e}"))
}

/// Writes a number as Java's `Float.toString` does; see [`double_to_string`].
pub(crate) fn float_to_string(value: f32) -> String {
    to_string(f64::from(value), &format!("{value:e}"))
}

/// Writes a floating-point number as Java does. `shortest` has as few digits as name the value.
fn to_string(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        return "NaN".into();
    }

    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }

    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{value:.*e}", digits.max(2) - 1);
    let (mantissa, exponent) = nearest.split_once('e').unwrap_or((&nearest, "0"));
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    let magnitude = value.abs();
    let is_plain = magnitude == 0.0 || (1e-3..1e7).contains(&magnitude);
    let text = match exponent.parse() {
        Ok(exponent) if is_plain => plain(mantissa, exponent),
        _ => mantissa.to_owned(),
    };
    let text = if text.contains('.') { text } else { format!("{text}.0") };
    if is_plain { text } else { format!("{text}E{exponent}") }
}

/// Writes what Java's `BigDecimal.toString` of a number that is written without an exponent.
pub(super) fn decimal_to_string(plain: &str) -> String {
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |digits| ("-", digits));
    let scale = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let unscaled: String = digits.chars().filter(|c| *c != '.').collect();
    let unscaled = match unscaled.trim_start_matches('0') {
        "" => "0",
        unscaled => unscaled,
    };

    // The exponent of the first digit, and where Java begins to write it.
    let Some(zeros) = scale.checked_sub(unscaled.len() - 1).filter(|zeros| *zeros > 6) else {
        return plain.to_owned();
    };
    let (first, rest) = unscaled.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if unscaled == "0" { "" } else { sign };
    format!("{sign}{first}{point}{rest}E-{zeros}")
}

/// Returns what Java's `BigInteger.toByteArray` of decimal digits with or without a minus: two's complement,
/// big-endian, as short as possible.
pub(super) fn big_integer_bytes(number: &str) -> Vec<u8> {
    let (is_negative, digits) = number.strip_prefix('-').map_or((false, number), |digits| (true, digits));
    // Little-endian, and with a byte for the sign.
    let mut bytes = vec![0_u8];
    for digit in digits.bytes() {
        let mut carry = u16::from(digit.wrapping_sub(b'0'));
        for byte in &mut bytes {
            let [low, high] = (u16::from(*byte) * 10 + carry).to_le_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        bytes.extend((carry > 0).then(|| carry.to_le_bytes()[0]));
    }
    bytes.push(0);

    if is_negative {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    while let [.., before, sign] = bytes[..]
        && matches!((sign, before), (0, 0..=0x7f) | (0xff, 0x80..))
    {
        bytes.pop();
    }
    bytes.reverse();
    bytes
}

/// Writes `d.ddd` times ten to the exponent, written out.
fn plain(mantissa: &str, exponent: i32) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let whole = format!("{digits:0<width$}", width = exponent + 1);
            let (whole, fraction) = whole.split_at(exponent + 1);
            format!("{sign}{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." })
        }
        Err(_) => {
            let zeros = usize::try_from(exponent.unsigned_abs()).unwrap_or_default().saturating_sub(1);
            format!("{sign}0.{}{digits}", "0".repeat(zeros))
        }
    }
}

/// Appends a struct by `Struct.toString`, which leaves out fields that are null.
pub(super) fn push_struct<'a>(out: &mut String, fields: impl Iterator<Item = (&'a str, impl FnOnce(&mut String))>) {
    out.push_str("Struct{");
    for (index, (name, push)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        push(out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_as_java_writes_them() {
        for (value, text) in [
            (1e3, "1000.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.00001, "1.0E-5"),
            (0.001, "0.001"),
            (-1.5, "-1.5"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e21, "1.0E21"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (2e-323, "2.0E-323"),
            (2.2250738585072014e-308, "2.2250738585072014E-308"),
            (f64::MAX, "1.7976931348623157E308"),
            (1_888_570_120_608_320.3, "1.8885701206083202E15"),
            (2e23, "2.0E23"),
            (0.1, "0.1"),
            (100.0, "100.0"),
            (1234567.875, "1234567.875"),
            (-0.00123, "-0.00123"),
            (9_999_999.999, "9999999.999"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(double_to_string(value), text);
        }
    }

    #[test]
    fn floats_as_java_writes_them() {
        for (value, text) in
            [(1.5, "1.5"), (0.1, "0.1"), (1e10, "1.0E10"), (16_777_216.0, "1.6777216E7"), (f32::NAN, "NaN")]
        {
            assert_eq!(float_to_string(value), text);
        }
    }

    #[test]
    fn decimals_as_java_writes_them() {
        for (plain, text) in [
            ("12.30", "12.30"),
            ("-7", "-7"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("-0.00000123", "-0.00000123"),
            ("-0.000000123", "-1.23E-7"),
            ("0.0000000", "0E-7"),
            ("0.00", "0.00"),
        ] {
            assert_eq!(decimal_to_string(plain), text, "{plain}");
        }
    }

    #[test]
    fn big_integers_as_java_writes_them() {
        for (number, bytes) in [
            ("0", &[0][..]),
            ("-0", &[0]),
            ("127", &[0x7f]),
            ("128", &[0, 0x80]),
            ("-128", &[0x80]),
            ("-129", &[0xff, 0x7f]),
            ("256", &[1, 0]),
            ("12345", &[0x30, 0x39]),
            ("18446744073709551616", &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(big_integer_bytes(number), bytes, "{number}");
        }
    }

    proptest! {
        #[test]
        fn big_integers_are_read_back(number in any::<i64>()) {
            let bytes = big_integer_bytes(&number.to_string());
            let fill = if number < 0 { 0xff } else { 0 };
            let mut whole = [fill; 8];
            whole[8 - bytes.len()..].copy_from_slice(&bytes);
            prop_assert_eq!(i64::from_be_bytes(whole), number);
        }

        #[test]
        fn every_double_is_read_back(value in proptest::num::f64::ANY.prop_filter("finite", |value| value.is_finite())) {
            let text = double_to_string(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
            prop_assert!(text.contains('.'));
        }
    }
}
