/// A double as Java's `Double.toString` writes it since JDK 19: as few digits as name it but two at least, and of
/// those the nearest; between two that are equally near, the even one.
pub(super) fn double_to_string(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let digits = format!("{value:e}").bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
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

/// `d.ddd` times ten to the exponent, written out.
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

    proptest! {
        #[test]
        fn every_double_is_read_back(value in proptest::num::f64::ANY.prop_filter("finite", |value| value.is_finite())) {
            let text = double_to_string(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
            prop_assert!(text.contains('.'));
        }
    }
}
