//! The row of an event: the value that enqueue writes to each column.

use uuid::Uuid;

use super::{Column, ColumnType, ColumnValue, EventField, Nullability, TableLayout, text_form};
use crate::record::instant;
use crate::{Error, OutboxEvent, Payload};

/// A row of the outbox table: a value for each column of its layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    values: Vec<ColumnValue>,
}

impl Row {
    /// Creates a row of the layout's columns, in their order.
    ///
    /// # Errors
    /// A value is missing or too many, is not of its column's type, or is NULL although the column is NOT NULL.
    pub fn new(layout: &TableLayout, values: Vec<ColumnValue>) -> Result<Self, Error> {
        if values.len() != layout.columns.len() {
            let reason = format!("a row has {} columns, not {}", layout.columns.len(), values.len());
            return Err(Error::layout(layout.table.as_str(), reason));
        }
        for (column, value) in layout.columns.iter().zip(&values) {
            if !column.holds(value) {
                return Err(Error::layout(column.name.as_str(), format!("{} cannot hold this value", column.ty.sql())));
            }
        }
        Ok(Self { values })
    }

    /// Creates a row of one text, which a driver sends for an event without a table.
    pub(crate) fn of_content(content: String) -> Self {
        Self { values: vec![ColumnValue::Text(content)] }
    }

    /// Returns the values, in the order of the layout's columns.
    #[must_use]
    pub fn values(&self) -> &[ColumnValue] {
        &self.values
    }

    pub(crate) fn get(&self, index: usize) -> &ColumnValue {
        self.values.get(index).unwrap_or(&ColumnValue::Null)
    }

    pub(crate) fn set(&mut self, index: usize, value: ColumnValue) {
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
        }
    }

    /// Returns the row that enqueue stores for an event. Columns that enqueue omits are NULL here.
    pub(crate) fn of_event(layout: &TableLayout, event: &OutboxEvent) -> Result<Self, Error> {
        let lost = "the table layout has no column for it, so it would be lost";
        for field in event.set_fields() {
            if layout.column_of(field).is_none() && !layout.has_columns_for_headers(field, event) {
                return Err(Error::rule(field.name(), "(set)", lost));
            }
        }
        let is_own = |name: &str| layout.column(name).is_some_and(Column::is_own);
        if let Some((name, _)) = event.columns().find(|(name, _)| !is_own(name)) {
            return Err(Error::rule(name, "(set)", "the table layout has no own column of this name (Column::own)"));
        }

        let mut values = Vec::with_capacity(layout.columns.len());
        for column in &layout.columns {
            values.push(match column.field {
                Some(field) => column.value_of(field, layout, event)?,
                None => column.value_of_source(event)?,
            });
        }
        Ok(Self { values })
    }
}

impl TableLayout {
    /// Returns whether the field is the headers, and each of them has a column.
    fn has_columns_for_headers(&self, field: EventField, event: &OutboxEvent) -> bool {
        let has_column = |(name, value): (&str, &str)| !value.is_empty() && self.has_header_column(name);
        field == EventField::Headers && event.headers().iter().all(has_column)
    }
}

impl Column {
    /// Checks that enqueue can write the content of a column.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub(super) fn check_source(&self) -> Result<(), String> {
        use ColumnType as T;
        let is_writable = self.ty.is_text() && self.ty != T::Enum
            || self.ty.is_json()
            || self.ty.is_instant()
            || matches!(self.ty, T::Uuid | T::Bytea | T::Smallint | T::Integer | T::Bigint | T::Boolean);

        if self.is_own() && !is_writable {
            return Err(format!("enqueue does not write columns of type {}", self.ty.sql()));
        }
        if self.fallback_value().is_some_and(|value| !self.holds(value)) {
            return Err(format!("{} cannot hold its fallback", self.ty.sql()));
        }

        // `column:placement:alias,…` has no escapes.
        match self.event_header() {
            Some(name) if name.is_empty() || name.trim() != name || name.contains([',', ':']) || name == "id" => {
                Err("a record's header is placed by a name without comma and colon, and not \"id\"".into())
            }
            _ => Ok(()),
        }
    }

    fn holds(&self, value: &ColumnValue) -> bool {
        match value {
            ColumnValue::Null => self.nullability == Nullability::Nullable,
            ColumnValue::Text(text) => match self.ty {
                ColumnType::Varchar(n) => within(text, n),
                ty if ty.is_text() || ty.is_json() => true,
                ColumnType::Uuid | ColumnType::Integer | ColumnType::Boolean => false,
                ty => text_form::is_of(ty, text),
            },
            ColumnValue::Bytes(_) => self.ty == ColumnType::Bytea,
            ColumnValue::Uuid(_) => self.ty == ColumnType::Uuid,
            ColumnValue::Integer(_) => self.ty == ColumnType::Integer,
            ColumnValue::Boolean(_) => self.ty == ColumnType::Boolean,
            ColumnValue::Instant(_) => self.ty.is_instant(),
        }
    }

    /// Returns the value of a column that holds no part of the event.
    fn value_of_source(&self, event: &OutboxEvent) -> Result<ColumnValue, Error> {
        if let Some(text) = self.constant_text() {
            return Ok(ColumnValue::Text(text.to_owned()));
        }
        if let Some(name) = self.event_header() {
            return Ok(ColumnValue::Text(event.headers().get(name).unwrap_or_default().to_owned()));
        }
        if !self.is_own() {
            return Ok(ColumnValue::Null);
        }

        // Error messages do not contain the value of a service's own column.
        let refuse = |rule: String| Err(Error::rule(self.name.as_str(), "(own column)", rule));
        let value = event.own_column(self.name.as_str()).or(self.fallback_value()).unwrap_or(&ColumnValue::Null);
        match value {
            ColumnValue::Null if self.nullability == Nullability::NotNull => {
                refuse("its column is NOT NULL: set it by EventBuilder::column".into())
            }
            // An instant is a text in a message, as `created_at` is.
            ColumnValue::Instant(at) if self.ty == ColumnType::Text => Ok(ColumnValue::Text(instant::zoned(*at))),
            value if !self.holds(value) => refuse(format!("its column is of type {}", self.ty.sql())),
            ColumnValue::Text(text) if text.contains('\0') => refuse("PostgreSQL stores no NUL in text".into()),
            ColumnValue::Text(text) if self.ty.is_json() => {
                if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                    return refuse("its column holds JSON".into());
                }
                self.refuse_if_jsonb(self.name.as_str(), text)?;
                Ok(value.clone())
            }
            value => Ok(value.clone()),
        }
    }

    /// Returns the JSON of the headers that have no column.
    fn headers(&self, layout: &TableLayout, event: &OutboxEvent) -> Result<ColumnValue, Error> {
        let json = event.headers().to_json(|name, value| !value.is_empty() && layout.has_header_column(name))?;
        self.refuse_if_jsonb("headers", &json)?;
        self.expect_room(&json)?;
        Ok(ColumnValue::Text(json))
    }

    /// Returns the value that the column stores for a part of the event.
    fn value_of(&self, field: EventField, layout: &TableLayout, event: &OutboxEvent) -> Result<ColumnValue, Error> {
        if !field.is_written_to(self.ty) {
            let rule = format!("its column is of type {}, which this library reads only", self.ty.sql());
            return Err(Error::rule(field.name(), "(set)", rule));
        }
        match field {
            EventField::Id => Ok(ColumnValue::Uuid(event.id().as_uuid())),
            EventField::AggregateType => self.text(event.aggregate_type().as_str()),
            EventField::Key => self.text(event.key().map_or(event.aggregate_id().as_str(), |key| key.as_str())),
            EventField::AggregateId if self.ty == ColumnType::Uuid => {
                let id = event.aggregate_id().as_str();
                let uuid = Uuid::parse_str(id)
                    .map_err(|e| Error::rule("aggregate_id", id, "its column is of type uuid").caused_by(e))?;
                // The consumer must get the value of the producer, and PostgreSQL has only one spelling for it.
                if uuid.to_string() != id {
                    return Err(Error::rule(
                        "aggregate_id",
                        id,
                        "its column is of type uuid: lower case, with hyphens",
                    ));
                }
                Ok(ColumnValue::Uuid(uuid))
            }
            EventField::AggregateId => self.text(event.aggregate_id().as_str()),
            EventField::EventType => self.text(event.event_type().as_str()),
            EventField::Payload => self.payload(event.payload()),
            // PostgreSQL would round to the column's precision; the wire truncates.
            EventField::CreatedAt if self.ty == ColumnType::TimestampMillis => {
                let past = i64::from(event.created_at().microsecond() % 1_000);
                Ok(ColumnValue::Instant(event.created_at() - time::Duration::microseconds(past)))
            }
            EventField::CreatedAt if self.ty.is_text() => Ok(ColumnValue::Text(instant::zoned(event.created_at()))),
            EventField::CreatedAt => Ok(ColumnValue::Instant(event.created_at())),
            EventField::SchemaVersion => Ok(ColumnValue::Integer(event.schema_version().cast_signed())),
            EventField::ContentType => self.optional_text(content_type(event)),
            EventField::Traceparent => self.optional_text(event.traceparent().map(|t| t.as_str())),
            EventField::CorrelationId => self.optional_text(event.correlation_id().map(|id| id.as_str())),
            EventField::CausationId => self.optional_text(event.causation_id().map(|id| id.as_str())),
            EventField::Tracestate => self.optional_text(event.tracestate().map(|state| state.as_str())),
            EventField::Headers => self.headers(layout, event),
        }
    }

    fn payload(&self, payload: &Payload) -> Result<ColumnValue, Error> {
        let refuse = |rule: &str| Err(Error::rule("payload", &format!("({} bytes)", payload.len()), rule));
        match payload {
            Payload::Empty if self.nullability == Nullability::Nullable => Ok(ColumnValue::Null),
            Payload::Empty => refuse("it is empty, and its column is NOT NULL"),
            Payload::Bytes(bytes) if self.ty == ColumnType::Bytea => Ok(ColumnValue::Bytes(bytes.clone())),
            Payload::Bytes(_) => refuse("bytes need a bytea column"),
            Payload::Json(_) if self.ty == ColumnType::Bytea => refuse("its column is bytea: give it as bytes"),
            Payload::Json(text) => {
                self.refuse_if_jsonb("payload", text.as_str())?;
                self.text(text.as_str())
            }
        }
    }

    fn refuse_if_jsonb(&self, field: &str, json: &str) -> Result<(), Error> {
        if self.ty != ColumnType::Jsonb {
            return Ok(());
        }
        match crate::json::jsonb_refusal(json) {
            Some((rule, place)) => {
                Err(Error::rule(field, &format!("({} bytes)", json.len()), format!("at byte {place}: {rule}")))
            }
            None => Ok(()),
        }
    }

    fn optional_text(&self, text: Option<&str>) -> Result<ColumnValue, Error> {
        match (text, self.nullability) {
            (None, Nullability::Nullable) => Ok(ColumnValue::Null),
            (text, _) => self.text(text.unwrap_or_default()),
        }
    }

    fn text(&self, text: &str) -> Result<ColumnValue, Error> {
        self.expect_room(text)?;
        Ok(ColumnValue::Text(text.to_owned()))
    }

    fn expect_room(&self, text: &str) -> Result<(), Error> {
        match self.ty {
            ColumnType::Varchar(n) if !within(text, n) => {
                let field = self.field.map_or(self.name.as_str(), |field| field.name());
                let rule = format!("its column is of type varchar({n})");
                // Error messages contain no payloads and no values of headers.
                match self.field {
                    Some(EventField::Payload | EventField::Headers) => {
                        Err(Error::rule(field, &format!("({} bytes)", text.len()), rule))
                    }
                    _ => Err(Error::rule(field, text, rule)),
                }
            }
            _ => Ok(()),
        }
    }
}

fn within(text: &str, limit: u32) -> bool {
    usize::try_from(limit).is_ok_and(|limit| text.chars().count() <= limit)
}

fn content_type(event: &OutboxEvent) -> Option<&str> {
    match (event.content_type(), event.payload()) {
        (Some(given), _) => Some(given.as_str()),
        (None, Payload::Json(_)) => Some("application/json"),
        (None, Payload::Bytes(_)) => Some("application/octet-stream"),
        (None, Payload::Empty) => None,
    }
}
