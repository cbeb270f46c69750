use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

/// The value of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnValue {
    /// SQL NULL
    Null,
    /// `text`, `varchar`, the text of `json` and `jsonb`, and PostgreSQL's text form of every type that has no variant
    /// here
    Text(String),
    /// `bytea`
    Bytes(Bytes),
    /// `uuid`
    Uuid(Uuid),
    /// `integer`
    Integer(i32),
    /// `boolean`
    Boolean(bool),
    /// `timestamp` and `timestamptz`; a `timestamp` is read as UTC
    Instant(OffsetDateTime),
}

impl ColumnValue {
    /// Estimates how many bytes it takes in a statement.
    pub(crate) fn stored_size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 16,
        }
    }
}

impl From<&str> for ColumnValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ColumnValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Uuid> for ColumnValue {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<i32> for ColumnValue {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

/// For a column of type `bigint`.
impl From<i64> for ColumnValue {
    fn from(number: i64) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<bool> for ColumnValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<OffsetDateTime> for ColumnValue {
    fn from(at: OffsetDateTime) -> Self {
        Self::Instant(at.to_offset(time::UtcOffset::UTC))
    }
}
