/// The type of a column, as far as an outbox pipeline knows it (PostgreSQL, "Data Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnType {
    /// `uuid`
    Uuid,
    /// `text`, and types that lead to the same records: `char(n)`, `citext`, `inet`, `cidr`, `macaddr`, ranges
    Text,
    /// `varchar(n)`; n is in characters
    Varchar(u32),
    /// An enum
    Enum,
    /// `json`: keeps its text, and Debezium carries it verbatim
    Json,
    /// `jsonb`: PostgreSQL rewrites the text (order, spaces, numbers)
    Jsonb,
    /// `xml`
    Xml,
    /// `tsvector`
    Tsvector,
    /// `ltree`
    Ltree,
    /// `hstore`; Debezium carries it as a JSON object
    Hstore,
    /// `bytea`
    Bytea,
    /// `smallint`
    Smallint,
    /// `integer`
    Integer,
    /// `bigint`
    Bigint,
    /// `real`
    Real,
    /// `double precision`
    Double,
    /// `numeric(p, s)`, by its scale s
    Decimal(u16),
    /// `numeric` without a scale
    Numeric,
    /// `boolean`
    Boolean,
    /// `bit(1)`; Debezium carries a boolean
    Bit,
    /// `bit(n)`, `varbit`; Debezium carries bytes
    Bits,
    /// `date`; Debezium carries days since 1970
    Date,
    /// `time(3)`; Debezium carries milliseconds
    TimeMillis,
    /// `time(6)`; Debezium carries microseconds
    TimeMicros,
    /// `timestamp(3)`: UTC by convention; Debezium carries milliseconds since 1970
    TimestampMillis,
    /// `timestamp(6)`: UTC by convention; Debezium carries microseconds since 1970
    TimestampMicros,
    /// `timestamptz`; Debezium carries ISO 8601 text, and the EventRouter cannot take it as the event's timestamp
    Timestamptz,
    /// `timetz`; Debezium carries ISO 8601 text in UTC
    Timetz,
    /// `interval`; Debezium carries microseconds
    Interval,
    /// `money`; Debezium carries a decimal with two digits of a fraction
    Money,
    /// An array of one dimension
    Array(&'static Self),
    /// A type that no record can hold, by its OID
    Other(u32),
}

impl ColumnType {
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Varchar(_) | Self::Enum)
    }

    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonb)
    }

    pub(crate) fn is_instant(self) -> bool {
        matches!(self, Self::TimestampMillis | Self::TimestampMicros | Self::Timestamptz)
    }

    /// Returns whether `time.precision.mode` decides on the form of its values.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::TimeMillis | Self::TimeMicros | Self::TimestampMillis | Self::TimestampMicros)
    }

    /// Returns whether Debezium's values are decimals, whose bytes the JsonConverter writes.
    pub(crate) fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal(_) | Self::Numeric | Self::Money)
    }

    /// Returns whether Debezium's values are texts that the router may expand.
    pub(crate) fn is_expandable(self) -> bool {
        self.is_text() || self.is_json()
    }

    /// Returns whether every converter writes its values as one text or number.
    pub(crate) fn is_scalar(self) -> bool {
        !matches!(self, Self::Bytea | Self::Bits | Self::Numeric | Self::Array(_) | Self::Other(_))
    }

    /// Returns the type's name in SQL.
    #[must_use]
    pub fn sql(self) -> String {
        match self {
            Self::Uuid => "uuid".into(),
            Self::Text => "text".into(),
            Self::Varchar(n) => format!("varchar({n})"),
            Self::Enum => "enum".into(),
            Self::Json => "json".into(),
            Self::Jsonb => "jsonb".into(),
            Self::Xml => "xml".into(),
            Self::Tsvector => "tsvector".into(),
            Self::Bit => "bit(1)".into(),
            Self::Bits => "bit(n)".into(),
            Self::Ltree => "ltree".into(),
            Self::Hstore => "hstore".into(),
            Self::Bytea => "bytea".into(),
            Self::Smallint => "smallint".into(),
            Self::Integer => "integer".into(),
            Self::Bigint => "bigint".into(),
            Self::Real => "real".into(),
            Self::Double => "double precision".into(),
            Self::Decimal(scale) => format!("numeric(p, {scale})"),
            Self::Numeric => "numeric".into(),
            Self::Boolean => "boolean".into(),
            Self::Date => "date".into(),
            Self::TimeMillis => "time(3)".into(),
            Self::TimeMicros => "time(6)".into(),
            Self::TimestampMillis => "timestamp(3)".into(),
            Self::TimestampMicros => "timestamp(6)".into(),
            Self::Timestamptz => "timestamptz".into(),
            Self::Timetz => "timetz".into(),
            Self::Interval => "interval".into(),
            Self::Money => "money".into(),
            Self::Array(element) => format!("{}[]", element.sql()),
            Self::Other(oid) => format!("the type with OID {oid}"),
        }
    }
}
