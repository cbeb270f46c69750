//! The columns of a table, and the parts of an event that they hold.

use std::sync::Arc;

use super::default::ColumnDefault;
use super::text_form::array_elements;
use super::{ColumnType, ColumnValue, Identifier};
use crate::connector::ValueForms;

/// The part of an event that a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
// CONTRIBUTING.md, "A part of an event that becomes a column and a header", lists the places of another variant.
pub enum EventField {
    /// [`OutboxEvent::id`](crate::OutboxEvent::id)
    Id,
    /// [`OutboxEvent::aggregate_type`](crate::OutboxEvent::aggregate_type)
    AggregateType,
    /// [`OutboxEvent::aggregate_id`](crate::OutboxEvent::aggregate_id)
    AggregateId,
    /// [`OutboxEvent::event_type`](crate::OutboxEvent::event_type)
    EventType,
    /// [`OutboxEvent::payload`](crate::OutboxEvent::payload)
    Payload,
    /// [`OutboxEvent::created_at`](crate::OutboxEvent::created_at)
    CreatedAt,
    /// [`OutboxEvent::schema_version`](crate::OutboxEvent::schema_version)
    SchemaVersion,
    /// [`OutboxEvent::content_type`](crate::OutboxEvent::content_type)
    ContentType,
    /// [`OutboxEvent::traceparent`](crate::OutboxEvent::traceparent)
    Traceparent,
    /// [`OutboxEvent::correlation_id`](crate::OutboxEvent::correlation_id)
    CorrelationId,
    /// [`OutboxEvent::causation_id`](crate::OutboxEvent::causation_id)
    CausationId,
    /// [`OutboxEvent::headers`](crate::OutboxEvent::headers), as one JSON object
    Headers,
    /// [`OutboxEvent::tracestate`](crate::OutboxEvent::tracestate)
    Tracestate,
    /// [`OutboxEvent::key`](crate::OutboxEvent::key), or the aggregate id
    Key,
}

impl EventField {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::AggregateType => "aggregate_type",
            Self::AggregateId => "aggregate_id",
            Self::EventType => "event_type",
            Self::Payload => "payload",
            Self::CreatedAt => "created_at",
            Self::SchemaVersion => "schema_version",
            Self::ContentType => "content_type",
            Self::Traceparent => "traceparent",
            Self::CorrelationId => "correlation_id",
            Self::CausationId => "causation_id",
            Self::Headers => "headers",
            Self::Tracestate => "tracestate",
            Self::Key => "record_key",
        }
    }

    /// Returns whether the field can be read from a column of the type, in a table that others write.
    #[must_use]
    pub fn fits(self, ty: ColumnType) -> bool {
        match self {
            Self::Id | Self::AggregateId | Self::Key => ty.is_scalar(),
            _ => self.is_written_to(ty),
        }
    }

    /// Returns whether the router can take the field from a column of the type.
    pub(super) fn is_routed_from(self, ty: ColumnType) -> bool {
        // The text of an hstore is no JSON that the router could expand.
        let is_payload = |ty| !matches!(ty, ColumnType::Hstore | ColumnType::Other(_));
        self.fits(ty) || (self == Self::Payload && is_payload(ty))
    }

    /// Returns whether enqueue can write the field to a column of the type.
    pub(super) fn is_written_to(self, ty: ColumnType) -> bool {
        match self {
            Self::Id => ty == ColumnType::Uuid,
            Self::AggregateId => ty.is_text() || ty == ColumnType::Uuid,
            Self::Payload => ty.is_text() || ty.is_json() || ty == ColumnType::Bytea,
            Self::CreatedAt => ty.is_instant() || ty == ColumnType::Text,
            Self::SchemaVersion => ty == ColumnType::Integer,
            Self::Headers => ty.is_text() || ty.is_json(),
            _ => ty.is_text(),
        }
    }
}

/// Whether a column may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Nullability {
    /// It may.
    Nullable,
    /// It may not.
    NotNull,
}

/// One column of an outbox table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub(super) name: Identifier,
    pub(super) ty: ColumnType,
    pub(super) nullability: Nullability,
    pub(super) field: Option<EventField>,
    pub(super) default: Option<ColumnDefault>,
    source: Source,
    header: Option<Box<str>>,
    modifier: Option<i32>,
    labels: Option<Arc<str>>,
}

/// The value that enqueue writes to a column that holds no part of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Nothing: the INSERT omits the column.
    Nothing,
    /// The same text in every row.
    Constant(Box<str>),
    /// The value that the event gives by the column's name, or else the fallback.
    Own(Option<ColumnValue>),
    /// The event's header of this name.
    Header(Box<str>),
}

impl Column {
    /// Creates a column that holds a part of the event.
    #[must_use]
    pub fn new(field: EventField, name: Identifier, ty: ColumnType, nullability: Nullability) -> Self {
        Self { field: Some(field), ..Self::foreign(name, ty, nullability) }
    }

    /// Creates a column that is none of the event's: enqueue leaves it out, so it needs a default or is nullable.
    #[must_use]
    pub fn foreign(name: Identifier, ty: ColumnType, nullability: Nullability) -> Self {
        Self {
            name,
            ty,
            nullability,
            field: None,
            default: None,
            source: Source::Nothing,
            header: None,
            modifier: None,
            labels: None,
        }
    }

    /// Creates a text column that holds the same in every row: enqueue writes it, and it is the column's DEFAULT.
    #[must_use]
    pub fn constant(name: Identifier, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            default: Some(ColumnDefault::text(&text)),
            source: Source::Constant(text.into_boxed_str()),
            ..Self::foreign(name, ColumnType::Text, Nullability::NotNull)
        }
    }

    /// Returns a column of the service's own, which events fill by
    /// [`EventBuilder::column`](crate::EventBuilder::column): for row-level security, for a partition of the topic, or
    /// as a [header](Self::header).
    ///
    /// If an event has no value for it, enqueue writes the [fallback](Self::fallback) or NULL, or refuses the event if
    /// the column is NOT NULL.
    ///
    /// ```
    /// use outbox_core::layout::{Column, ColumnType, Nullability};
    /// use outbox_core::{ConnectorConfig, Identifier, OutboxEvent, Pipeline, TableLayout};
    ///
    /// let tenant = Column::own(Identifier::new("tenant_id")?, ColumnType::Bigint, Nullability::NotNull);
    /// let layout = TableLayout::recommended().with_column(tenant.header("tenant"))?;
    /// let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout)?;
    ///
    /// let event = OutboxEvent::builder("order", "42", "OrderCreated").column("tenant_id", 7_i64).build()?;
    /// let record = pipeline.encode(&pipeline.row(&event)?)?;
    /// assert_eq!(record.header("tenant").unwrap(), "7");
    /// # Ok::<(), outbox_core::Error>(())
    /// ```
    #[must_use]
    pub fn own(name: Identifier, ty: ColumnType, nullability: Nullability) -> Self {
        Self { source: Source::Own(None), ..Self::foreign(name, ty, nullability) }
    }

    /// Sets the value of an [own](Self::own) column for events that have none. It is the column's DEFAULT, too.
    #[must_use]
    pub fn fallback(self, value: impl Into<ColumnValue>) -> Self {
        let value = value.into();
        Self { default: ColumnDefault::of(&value), source: Source::Own(Some(value)), ..self }
    }

    /// Returns a text column for one of the event's headers, which becomes a header of the record by itself. The others
    /// stay in the JSON object of [`EventField::Headers`]. Empty text stands for an event without the header.
    ///
    /// ```
    /// use outbox_core::layout::Column;
    /// use outbox_core::{ConnectorConfig, Identifier, OutboxEvent, Pipeline, TableLayout};
    ///
    /// let layout = TableLayout::recommended().with_column(Column::from_header(Identifier::new("tenant")?, "x-tenant"))?;
    /// let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout)?;
    ///
    /// let event = OutboxEvent::builder("order", "42", "OrderCreated").header("x-tenant", "acme").build()?;
    /// let record = pipeline.encode(&pipeline.row(&event)?)?;
    /// assert_eq!(record.header("x-tenant").unwrap(), "acme");
    /// # Ok::<(), outbox_core::Error>(())
    /// ```
    #[must_use]
    pub fn from_header(name: Identifier, header: impl Into<String>) -> Self {
        let header = header.into().into_boxed_str();
        Self {
            default: Some(ColumnDefault::text("")),
            source: Source::Header(header.clone()),
            header: Some(header),
            ..Self::foreign(name, ColumnType::Text, Nullability::NotNull)
        }
    }

    pub(super) fn holding(self, field: Option<EventField>) -> Self {
        Self { field, ..self }
    }

    /// Names the header that [`ConnectorConfig::recommended`](crate::ConnectorConfig::recommended) makes of it. Unless
    /// named, that of an event's part has the part's name, and a foreign column is in no header.
    #[must_use]
    pub fn header(self, name: impl Into<String>) -> Self {
        Self { header: Some(name.into().into_boxed_str()), ..self }
    }

    /// Gives the column's DEFAULT, as the catalogue reports it (`pg_get_expr(adbin, adrelid)` of `pg_attrdef`).
    ///
    /// It is part of the records: Debezium puts it into the column's schema, and writes the default if a row has NULL.
    #[must_use]
    pub fn default_expression(mut self, expression: &str) -> Self {
        self.default = ColumnDefault::parse(self.ty, expression);
        self
    }

    /// Gives the modifier of the column's type, as the catalogue reports it (`atttypmod`). The JSON schemas of Debezium
    /// have the precision of a `numeric(p, s)` and the length of a `bit(n)`.
    #[must_use]
    pub fn type_modifier(self, modifier: i32) -> Self {
        Self { modifier: Some(modifier), ..self }
    }

    /// Gives the labels of the enum that the column, or an array's element, is of. The JSON schemas of Debezium list
    /// them.
    #[must_use]
    pub fn enum_labels<'a>(self, labels: impl IntoIterator<Item = &'a str>) -> Self {
        let labels: Vec<&str> = labels.into_iter().collect();
        Self { labels: Some(labels.join(",").into()), ..self }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &Identifier {
        &self.name
    }

    /// Returns its type.
    #[must_use]
    pub fn ty(&self) -> ColumnType {
        self.ty
    }

    /// Returns whether it may be NULL.
    #[must_use]
    pub fn nullability(&self) -> Nullability {
        self.nullability
    }

    /// Returns the part of the event that it holds, if any.
    #[must_use]
    pub fn field(&self) -> Option<EventField> {
        self.field
    }

    /// Returns the constant value of the column, if it has one.
    #[must_use]
    pub fn constant_text(&self) -> Option<&str> {
        match &self.source {
            Source::Constant(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the name of the event's header that it holds, if any.
    #[must_use]
    pub fn event_header(&self) -> Option<&str> {
        match &self.source {
            Source::Header(name) => Some(name),
            _ => None,
        }
    }

    /// Returns whether events fill it by its name, as [`own`](Self::own) columns.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// Returns what an own column holds for events that have no value for it.
    #[must_use]
    pub fn fallback_value(&self) -> Option<&ColumnValue> {
        match &self.source {
            Source::Own(value) => value.as_ref(),
            _ => None,
        }
    }

    /// Returns whether enqueue writes it.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        self.field.is_some() || self.source != Source::Nothing
    }

    /// Returns the labels of its enum, as the schema lists them.
    pub(crate) fn labels(&self) -> Option<&str> {
        self.labels.as_deref()
    }

    /// Returns the number of digits of a `numeric(p, s)`, or of those in an array.
    pub(crate) fn precision(&self) -> Option<u32> {
        // The modifier counts four bytes more. The upper half is the precision.
        let length = self.modifier?.checked_sub(4)?;
        u32::try_from(length).ok().map(|length| length >> 16)
    }

    /// Returns the scale of a `numeric(p, s)`, or of those in an array.
    pub(crate) fn scale(&self) -> u16 {
        match (self.ty, self.modifier) {
            (ColumnType::Decimal(scale), _) => scale,
            // The type of an array does not have the scale.
            (ColumnType::Array(ColumnType::Decimal(_)), Some(modifier)) => {
                match ColumnType::from_oid(ColumnType::Numeric.oid(), modifier) {
                    ColumnType::Decimal(scale) => scale,
                    _ => 0,
                }
            }
            _ => 0,
        }
    }

    /// Returns the length of a `bit(n)` or a `varbit`, which Debezium gives the largest one if it has none.
    pub(crate) fn length(&self) -> Option<i32> {
        self.modifier.map(|length| if length < 0 { i32::MAX } else { length })
    }

    pub(crate) fn header_name(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// Returns the value that Debezium uses as the column's default; `None` if it uses none.
    pub(crate) fn default(&self, forms: ValueForms) -> Option<&ColumnValue> {
        // As a struct of scale and digits, a numeric has no default.
        let is_struct = self.ty == ColumnType::Numeric && forms.decimal.is_precise();
        self.default.as_ref().filter(|_| !is_struct).map(ColumnDefault::value)
    }

    /// Returns the value that Debezium's row has for a stored one.
    pub(crate) fn emitted<'a>(&'a self, stored: &'a ColumnValue, forms: ValueForms) -> Option<&'a ColumnValue> {
        match stored {
            ColumnValue::Null => self.default(forms),
            // An element of an enum's array may not be NULL for Debezium, so it leaves the array out.
            ColumnValue::Text(text) if self.labels.is_some() && matches!(self.ty, ColumnType::Array(_)) => {
                let has_null = array_elements(text).is_some_and(|elements| elements.contains(&None));
                (!has_null).then_some(stored)
            }
            value => Some(value),
        }
    }
}
