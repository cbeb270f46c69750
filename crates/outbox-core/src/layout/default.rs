use super::text_form::{self, instant};
use super::{ColumnType, ColumnValue};

/// A column's default as Debezium reads it from PostgreSQL's expression, without evaluating it: a literal is taken
/// as it is, and for a call of a function there is a placeholder of the column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnDefault(ColumnValue);

impl ColumnDefault {
    /// Returns the default that a value is, unless it is NULL.
    pub(super) fn of(value: &ColumnValue) -> Option<Self> {
        (!value.is_null()).then(|| Self(value.clone()))
    }

    pub(super) fn text(text: &str) -> Self {
        Self(ColumnValue::Text(text.to_owned()))
    }

    /// Parses the expression of the catalog. Returns `None` if the value of the default is not known, or not of the
    /// type.
    pub(super) fn parse(ty: ColumnType, expression: &str) -> Option<Self> {
        let is_trimmed = !(ty.is_text() || ty.is_json());
        let expression = if is_trimmed { expression.trim() } else { expression };
        let text = if is_generated(expression) { placeholder(ty).to_owned() } else { literal(expression)? };

        Some(Self(match ty {
            ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Enum | ColumnType::Json | ColumnType::Jsonb => {
                ColumnValue::Text(text)
            }
            ColumnType::Uuid => ColumnValue::Uuid(text.parse().ok()?),
            ColumnType::Integer => ColumnValue::Integer(text.parse().ok()?),
            ColumnType::Boolean => ColumnValue::Boolean(text.eq_ignore_ascii_case("true")),
            ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => {
                ColumnValue::Instant(instant(&text)?)
            }
            ColumnType::Decimal(scale) if text_form::is_of(ty, &text) => ColumnValue::Text(at_scale(&text, scale)?),
            ColumnType::Smallint
            | ColumnType::Bigint
            | ColumnType::Real
            | ColumnType::Double
            | ColumnType::Date
            | ColumnType::TimeMillis
            | ColumnType::TimeMicros
                if text_form::is_of(ty, &text) =>
            {
                ColumnValue::Text(text)
            }
            _ => return None,
        }))
    }

    pub(super) fn value(&self) -> &ColumnValue {
        &self.0
    }
}

/// Returns the value that Debezium takes as the default of a column whose default is computed.
fn placeholder(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Uuid => "00000000-0000-0000-0000-000000000000",
        ColumnType::Json | ColumnType::Jsonb => "{}",
        ColumnType::Smallint | ColumnType::Integer | ColumnType::Bigint => "0",
        ColumnType::Real | ColumnType::Double | ColumnType::Decimal(_) | ColumnType::Numeric => "0.0",
        ColumnType::TimeMillis | ColumnType::TimeMicros => "00:00:00",
        ColumnType::Boolean => "false",
        ColumnType::Date | ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => {
            "1970-01-01"
        }
        ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::Enum
        | ColumnType::Xml
        | ColumnType::Tsvector
        | ColumnType::Bit
        | ColumnType::Bits
        | ColumnType::Ltree
        | ColumnType::Hstore
        | ColumnType::Bytea
        | ColumnType::Timetz
        | ColumnType::Interval
        | ColumnType::Money
        | ColumnType::Array(_)
        | ColumnType::Other(_) => "",
    }
}

/// Returns whether the expression is `name(…)`, also in a parenthesis, or one of SQL's words for the current time.
fn is_generated(expression: &str) -> bool {
    let current = ["current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"];
    let inner = expression.strip_prefix('(').unwrap_or(expression);
    let rest = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let line = rest.lines().next().unwrap_or_default();
    let is_call = rest.len() < inner.len() && line.starts_with('(') && line.contains(')');
    is_call || current.iter().any(|word| word.eq_ignore_ascii_case(expression))
}

/// Writes a number with all digits of its column's scale.
fn at_scale(number: &str, scale: u16) -> Option<String> {
    let digits = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let missing = usize::from(scale).checked_sub(digits)?;
    let point = if digits == 0 && missing > 0 { "." } else { "" };
    Some(format!("{number}{point}{}", "0".repeat(missing)))
}

/// Returns the first quoted text, or the whole expression if it has no quotes.
fn literal(expression: &str) -> Option<String> {
    let Some((_, quoted)) = expression.split_once('\'') else {
        return (!expression.starts_with("NULL::")).then(|| expression.to_owned());
    };

    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        if c == '\'' && !chars.as_str().starts_with('\'') {
            return Some(text);
        }
        if c == '\'' {
            chars.next();
        }
        text.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::*;

    fn default(ty: ColumnType, expression: &str) -> Option<ColumnValue> {
        ColumnDefault::parse(ty, expression).map(|default| default.0)
    }

    #[test]
    fn literals_are_taken_as_they_are() {
        let text = |text: &str| Some(ColumnValue::Text(text.into()));
        assert_eq!(default(ColumnType::Text, "''::text"), text(""));
        assert_eq!(default(ColumnType::Varchar(9), "'it''s'::character varying"), text("it's"));
        assert_eq!(default(ColumnType::Json, "'{}'::json"), text("{}"));
        assert_eq!(default(ColumnType::Text, "CURRENT_USER"), text("CURRENT_USER"), "Debezium evaluates nothing");
        assert_eq!(default(ColumnType::Text, "NULL::text"), None);
        assert_eq!(default(ColumnType::Integer, "1"), Some(ColumnValue::Integer(1)));
        assert_eq!(default(ColumnType::Integer, "'-1'::integer"), Some(ColumnValue::Integer(-1)));
        assert_eq!(default(ColumnType::Integer, "(1 + 1)"), None);
        assert_eq!(default(ColumnType::Boolean, "true"), Some(ColumnValue::Boolean(true)));
        assert_eq!(default(ColumnType::Bytea, "'\\x00'::bytea"), None);

        let instant = |at| Some(ColumnValue::Instant(at));
        assert_eq!(
            default(ColumnType::TimestampMicros, "'2026-01-02 03:04:05.678901'::timestamp without time zone"),
            instant(datetime!(2026-01-02 03:04:05.678901 UTC))
        );
        assert_eq!(
            default(ColumnType::Timestamptz, "'2026-01-02 03:04:05+02'::timestamp with time zone"),
            instant(datetime!(2026-01-02 01:04:05 UTC))
        );
    }

    #[test]
    fn calls_of_functions_have_a_placeholder() {
        assert_eq!(default(ColumnType::Text, "lower('X'::text)"), Some(ColumnValue::Text(String::new())));
        assert_eq!(default(ColumnType::Jsonb, "jsonb_build_object()"), Some(ColumnValue::Text("{}".into())));
        assert_eq!(default(ColumnType::Uuid, "gen_random_uuid()"), Some(ColumnValue::Uuid(uuid::Uuid::nil())));
        assert_eq!(default(ColumnType::Integer, "nextval('s'::regclass)"), Some(ColumnValue::Integer(0)));
        for call in
            ["timezone('utc'::text, clock_timestamp())", "(now() AT TIME ZONE 'utc'::text)", "CURRENT_TIMESTAMP"]
        {
            let epoch = Some(ColumnValue::Instant(OffsetDateTime::UNIX_EPOCH));
            assert_eq!(default(ColumnType::TimestampMicros, call), epoch, "{call}");
        }
    }
}
