use super::ConnectorConfig;
use crate::Error;

/// The options that select the form in which Debezium writes a column's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueForms {
    pub(crate) time: TimePrecision,
    pub(crate) binary: BinaryForm,
    pub(crate) decimal: DecimalForm,
    pub(crate) interval: IntervalForm,
}

/// `time.precision.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimePrecision {
    #[default]
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    IsoString,
    Microseconds,
    Nanoseconds,
    /// Structs, whose form is modelled for no converter.
    Structured,
    /// No mode of Debezium: the numbers that the JsonConverter makes of the values of `connect`.
    Milliseconds,
}

/// `binary.handling.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BinaryForm {
    #[default]
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// `decimal.handling.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DecimalForm {
    #[default]
    Precise,
    Text,
    Double,
    /// No mode of Debezium: the numbers that the JsonConverter makes of those of `precise` by `decimal.format=NUMERIC`.
    Number,
}

impl DecimalForm {
    /// Returns whether `decimal.handling.mode` is `precise`.
    pub(crate) fn is_precise(self) -> bool {
        matches!(self, Self::Precise | Self::Number)
    }
}

/// `interval.handling.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IntervalForm {
    /// Microseconds, with months of equal length.
    #[default]
    Numeric,
    Text,
}

impl ValueForms {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        Ok(Self {
            time: mode(
                config,
                "time.precision.mode",
                &[
                    ("adaptive", TimePrecision::Adaptive),
                    ("adaptive_time_microseconds", TimePrecision::AdaptiveTimeMicroseconds),
                    ("connect", TimePrecision::Connect),
                    ("isostring", TimePrecision::IsoString),
                    ("microseconds", TimePrecision::Microseconds),
                    ("nanoseconds", TimePrecision::Nanoseconds),
                    ("structured", TimePrecision::Structured),
                ],
            )?,
            binary: mode(
                config,
                "binary.handling.mode",
                &[
                    ("bytes", BinaryForm::Bytes),
                    ("base64", BinaryForm::Base64),
                    ("base64-url-safe", BinaryForm::Base64UrlSafe),
                    ("hex", BinaryForm::Hex),
                ],
            )?,
            decimal: mode(
                config,
                "decimal.handling.mode",
                &[("precise", DecimalForm::Precise), ("string", DecimalForm::Text), ("double", DecimalForm::Double)],
            )?,
            interval: mode(
                config,
                "interval.handling.mode",
                &[("numeric", IntervalForm::Numeric), ("string", IntervalForm::Text)],
            )?,
        })
    }
}

/// The forms of the JsonConverter's output, in each part of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JsonForms {
    pub(crate) key: ValueForms,
    pub(crate) value: ValueForms,
    pub(crate) header: ValueForms,
}

impl JsonForms {
    pub(crate) fn of(config: &ConnectorConfig, forms: ValueForms) -> Self {
        let of_part = |part| ValueForms { decimal: json_decimals(config, part, forms.decimal), ..forms };
        Self { key: of_part("key"), value: of_part("value"), header: of_part("header") }
    }
}

fn json_decimals(config: &ConnectorConfig, part: &str, form: DecimalForm) -> DecimalForm {
    let converter = format!("{part}.converter");
    let is_delegated = config.trimmed(&converter).is_some_and(|class| class.ends_with(".BinaryDataConverter"));
    let converter = if is_delegated { format!("{converter}{}", super::converter::DELEGATE) } else { converter };
    let format = config.trimmed(&format!("{converter}.decimal.format")).unwrap_or("BASE64");
    match form {
        DecimalForm::Precise if format.eq_ignore_ascii_case("NUMERIC") => DecimalForm::Number,
        form => form,
    }
}

fn mode<M: Copy + Default>(config: &ConnectorConfig, key: &str, modes: &[(&str, M)]) -> Result<M, Error> {
    let Some(value) = config.trimmed(key) else { return Ok(M::default()) };
    let found = modes.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    found.map(|(_, mode)| *mode).ok_or_else(|| Error::config(key, value, "Debezium has no such mode"))
}
