//! A column's value as the JsonConverter writes it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::column_text::text;
use super::java;
use super::json_writer::push_string;
use super::temporal::Temporal;
use crate::connector::{DecimalForm, IntervalForm, TimePrecision, ValueForms};
use crate::layout::{array_elements, money};
use crate::{ColumnType, ColumnValue};

/// Appends the column as the JsonConverter writes it.
pub(super) fn push_column(out: &mut String, value: &ColumnValue, ty: ColumnType, forms: ValueForms) {
    if let (ColumnValue::Text(stored), ColumnType::Array(element)) = (value, ty) {
        return push_array(out, stored, *element, forms);
    }
    // The logical types of Connect have texts in headers only.
    let forms = match forms.time {
        TimePrecision::Connect => ValueForms { time: TimePrecision::Milliseconds, ..forms },
        _ => forms,
    };
    match unscaled(value, ty, forms).map(Into::into).or_else(|| text(value, ty, forms)) {
        None => out.push_str("null"),
        Some(text) if is_bare(&text, ty, forms) => out.push_str(&text),
        Some(text) => push_string(out, &text),
    }
}

/// Returns the Base64 of a decimal's digits, which is its form without `decimal.format=NUMERIC`.
fn unscaled(value: &ColumnValue, ty: ColumnType, forms: ValueForms) -> Option<String> {
    let plain = match (value, ty) {
        (ColumnValue::Text(stored), ColumnType::Decimal(_)) => stored.clone(),
        (ColumnValue::Text(stored), ColumnType::Money) => money(stored)?,
        _ => return None,
    };
    (forms.decimal == DecimalForm::Precise)
        .then(|| BASE64_STANDARD.encode(java::big_integer_bytes(&plain.replace('.', ""))))
}

fn is_bare(text: &str, ty: ColumnType, forms: ValueForms) -> bool {
    use ColumnType as T;
    let is_finite = || text.ends_with(|c: char| c.is_ascii_digit());
    match ty {
        T::Boolean | T::Bit | T::Smallint | T::Integer | T::Bigint => true,
        T::Interval => forms.interval == IntervalForm::Numeric,
        // Jackson writes "NaN" and "Infinity" as strings.
        T::Real | T::Double => is_finite(),
        // A struct of the scale and the digits.
        T::Numeric if matches!(forms.decimal, DecimalForm::Precise | DecimalForm::Number) => true,
        ty if ty.is_decimal() => matches!(forms.decimal, DecimalForm::Number | DecimalForm::Double) && is_finite(),
        _ => Temporal::of(ty, forms.time).is_some_and(Temporal::is_number),
    }
}

fn push_array(out: &mut String, stored: &str, ty: ColumnType, forms: ValueForms) {
    // A row's values are of their types.
    let elements = array_elements(stored).unwrap_or_default();
    out.push('[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let value = match element {
            None => ColumnValue::Null,
            Some(text) if ty == ColumnType::Boolean => ColumnValue::Boolean(text == "t"),
            Some(text) => ColumnValue::Text(text),
        };
        push_column(out, &value, ty, forms);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(stored: &str, ty: ColumnType, decimal: DecimalForm) -> String {
        let mut out = String::new();
        push_column(
            &mut out,
            &ColumnValue::Text(stored.to_owned()),
            ty,
            ValueForms { decimal, ..ValueForms::default() },
        );
        out
    }

    #[test]
    fn decimals_have_the_form_of_their_mode() {
        use DecimalForm::{Double, Number, Precise, Text};
        for (decimal, written) in [(Precise, "\"BM4=\""), (Number, "12.30"), (Text, "\"12.30\""), (Double, "12.3")] {
            assert_eq!(json("12.30", ColumnType::Decimal(2), decimal), written);
            assert_eq!(json("$12.30", ColumnType::Money, decimal), written);
        }
        for decimal in [Precise, Number] {
            assert_eq!(json("1.50", ColumnType::Numeric, decimal), r#"{"scale":1,"value":"Dw=="}"#);
        }
    }

    #[test]
    fn arrays_are_arrays() {
        for (stored, element, written) in [
            (r#"{a,NULL,"b \"c\""}"#, &ColumnType::Text, r#"["a",null,"b \"c\""]"#),
            ("{1,2}", &ColumnType::Integer, "[1,2]"),
            ("{t,f}", &ColumnType::Boolean, "[true,false]"),
            ("{}", &ColumnType::Uuid, "[]"),
            ("{1970-01-02}", &ColumnType::Date, "[1]"),
        ] {
            assert_eq!(json(stored, ColumnType::Array(element), DecimalForm::Precise), written);
        }
    }
}
