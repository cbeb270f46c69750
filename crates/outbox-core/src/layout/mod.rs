mod cloud_events;
mod column;
mod column_type;
mod column_value;
mod default;
mod hstore;
mod identifier;
mod interval;
mod message;
mod of_router;
mod row;
mod text_form;
mod wire;

pub use self::column::{Column, EventField, Nullability};
pub use self::column_type::ColumnType;
pub use self::column_value::ColumnValue;
pub use self::identifier::Identifier;
pub use self::row::Row;

pub(crate) use self::hstore::pairs as hstore_pairs;
pub(crate) use self::interval::Interval;
pub(crate) use self::text_form::{
    array_elements, bits, bytea, epoch_day, epoch_micros, micros_of_day, money, zoned_micros_of_day,
};

use self::default::ColumnDefault;
use crate::Error;

/// The life of a row after its transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowLife {
    /// It stays until retention removes it.
    #[default]
    Keep,
    /// As [`Keep`](Self::Keep), in a table partitioned by the time in the id: retention detaches whole partitions, and
    /// nothing is deleted row by row.
    Partitioned,
    /// It is deleted in its own transaction: the event is in the WAL, and the table stays empty. If the slot is lost,
    /// events are lost, because no table has them.
    DeleteOnInsert,
    /// As [`DeleteOnInsert`](Self::DeleteOnInsert), with the ids kept in a separate table, so that an event that is
    /// enqueued again is recognised.
    DeleteOnInsertKeepIds,
    /// There is no table: the event is a logical decoding message (`pg_logical_emit_message`) in the WAL, as Debezium's
    /// `DecodeLogicalDecodingMessageContent` reads it. Enqueue needs no privilege, and nothing is stored that has to be
    /// removed. In return, events can be neither queried nor replayed, and enqueue is not idempotent.
    Message,
}

impl RowLife {
    /// Returns whether the row is deleted in its own transaction.
    #[must_use]
    pub fn vanishes(self) -> bool {
        matches!(self, Self::DeleteOnInsert | Self::DeleteOnInsertKeepIds)
    }

    /// Returns whether events are rows of a table.
    #[must_use]
    pub fn has_table(self) -> bool {
        self != Self::Message
    }

    /// Returns whether committed events can be read from a table.
    #[must_use]
    pub fn keeps_rows(self) -> bool {
        self.has_table() && !self.vanishes()
    }
}

/// The outbox table: its name, its columns in order, and the life of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLayout {
    schema: Identifier,
    table: Identifier,
    columns: Vec<Column>,
    row_life: RowLife,
}

impl TableLayout {
    /// Creates a table with these columns.
    ///
    /// # Errors
    /// Columns for id, aggregate type, aggregate id, event type and payload are missing, a column or a field is
    /// there twice, or a type cannot hold its field.
    pub fn new(schema: Identifier, table: Identifier, columns: Vec<Column>) -> Result<Self, Error> {
        use EventField::{AggregateId, AggregateType, EventType, Id, Payload};
        let required = [Id, AggregateType, AggregateId, EventType, Payload];
        Self::holding(&required, EventField::is_written_to, schema, table, columns)
    }

    /// Creates a table that others write, and that this library only reads: it needs columns for the id and the
    /// payload, and one column may serve several options of the router. The ids of event and aggregate may be of any
    /// type that becomes one text, such as `bigint`.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for the parts that may be missing.
    pub fn existing(schema: Identifier, table: Identifier, columns: Vec<Column>) -> Result<Self, Error> {
        Self::holding(&[EventField::Id, EventField::Payload], EventField::fits, schema, table, columns)
    }

    /// Checks that each part of an event has at most one column, that the columns fit, and that none of the `required`
    /// parts is missing.
    fn holding(
        required: &[EventField],
        fits: fn(EventField, ColumnType) -> bool,
        schema: Identifier,
        table: Identifier,
        columns: Vec<Column>,
    ) -> Result<Self, Error> {
        for (index, column) in columns.iter().enumerate() {
            let refuse = |reason: String| Err(Error::layout(column.name.as_str(), reason));
            let before = columns.get(..index).unwrap_or_default();
            if before.iter().any(|other| other.name == column.name) {
                return refuse("the name is there twice".into());
            }
            if let Err(reason) = column.check_source() {
                return refuse(reason);
            }

            if let Some(header) = column.event_header()
                && before.iter().any(|other| other.event_header() == Some(header))
            {
                return refuse(format!("another column holds the header {header} already"));
            }

            let Some(field) = column.field else { continue };
            if before.iter().any(|other| other.field == Some(field)) {
                return refuse(format!("another column holds {} already", field.name()));
            }
            if !fits(field, column.ty) {
                return refuse(format!("{} cannot be held by {}", field.name(), column.ty.sql()));
            }
        }
        for field in required {
            if !columns.iter().any(|column| column.field == Some(*field)) {
                return Err(Error::layout(field.name(), "no column holds this part of an event"));
            }
        }
        Ok(Self { schema, table, columns, row_life: RowLife::Keep })
    }

    /// Creates the table that outbox-pg creates: `outbox.outbox_message` with a `json` payload.
    #[must_use]
    pub fn recommended() -> Self {
        use ColumnType::{Integer, Json, Text, TimestampMicros, Uuid};
        use EventField as F;

        let of = |field: F, ty| Column::new(field, Identifier::known(field.name()), ty, Nullability::NotNull);
        let nullable = |field: F, ty| Column::new(field, Identifier::known(field.name()), ty, Nullability::Nullable);

        // As the catalogue reports the defaults that `default_of` of outbox-pg writes, in `migration/columns.rs`. A
        // column that is added here needs a step in `migration/shipped.rs` there, and belongs in `cloud_events`, too.
        let (empty, now) = ("''::text", "timezone('utc'::text, clock_timestamp())");
        Self {
            schema: Identifier::known("outbox"),
            table: Identifier::known("outbox_message"),
            columns: vec![
                of(F::Id, Uuid),
                of(F::AggregateType, Text),
                of(F::AggregateId, Text),
                of(F::EventType, Text),
                nullable(F::Payload, Json),
                of(F::CreatedAt, TimestampMicros).default_expression(now),
                of(F::SchemaVersion, Integer).default_expression("1"),
                of(F::ContentType, Text).default_expression(empty),
                of(F::Traceparent, Text).default_expression(empty),
                of(F::CorrelationId, Text).default_expression(empty),
                of(F::CausationId, Text).default_expression(empty),
                of(F::Headers, Json).default_expression("'{}'::json"),
                of(F::Tracestate, Text).default_expression(empty),
            ],
            row_life: RowLife::Keep,
        }
    }

    /// Creates Debezium's classic table: `id`, `aggregatetype`, `aggregateid`, `type`, `payload`, in the given schema.
    #[must_use]
    pub fn classic(schema: Identifier, table: Identifier) -> Self {
        use EventField as F;
        let of = |field, name, ty, null| Column::new(field, Identifier::known(name), ty, null);
        let name = ColumnType::Varchar(255);

        Self {
            schema,
            table,
            columns: vec![
                of(F::Id, "id", ColumnType::Uuid, Nullability::NotNull),
                of(F::AggregateType, "aggregatetype", name, Nullability::NotNull),
                of(F::AggregateId, "aggregateid", name, Nullability::NotNull),
                of(F::EventType, "type", name, Nullability::NotNull),
                of(F::Payload, "payload", ColumnType::Jsonb, Nullability::Nullable),
            ],
            row_life: RowLife::Keep,
        }
    }

    /// Returns the same columns in another schema and table.
    #[must_use]
    pub fn named(self, schema: Identifier, table: Identifier) -> Self {
        Self { schema, table, ..self }
    }

    /// Adds a column at the end, such as [`Column::own`] or [`Column::from_header`].
    ///
    /// # Errors
    /// The table has a column of this name or for the same part of an event, or the type cannot hold it.
    pub fn with_column(mut self, column: Column) -> Result<Self, Error> {
        if let Some(field) = column.field.filter(|field| !field.is_written_to(column.ty)) {
            let reason = format!("{} cannot be held by {}", field.name(), column.ty.sql());
            return Err(Error::layout(column.name.as_str(), reason));
        }
        let row_life = self.row_life;
        self.columns.push(if row_life.has_table() { column } else { column.into_member() });
        Self::existing(self.schema, self.table, self.columns).map(|layout| Self { row_life, ..layout })
    }

    /// Returns the same table with another life of its rows.
    ///
    /// In [`RowLife::Message`], the columns become members of a JSON object: JSON, times and texts of limited length
    /// are then texts, and nothing has a default.
    #[must_use]
    pub fn with_row_life(self, row_life: RowLife) -> Self {
        let columns = match row_life {
            // Members stay as they are: a payload may already be nested.
            RowLife::Message if self.row_life.has_table() => {
                self.columns.into_iter().map(Column::into_member).collect()
            }
            _ => self.columns,
        };
        Self { row_life, columns, ..self }
    }

    /// Returns the same table with another type of payload column.
    ///
    /// # Errors
    /// The type cannot hold a payload.
    pub fn payload_type(mut self, ty: ColumnType) -> Result<Self, Error> {
        for column in &mut self.columns {
            if column.field == Some(EventField::Payload) {
                column.ty = ty;
                column.default = None;
            }
        }
        let row_life = self.row_life;
        Self::existing(self.schema, self.table, self.columns).map(|layout| Self { row_life, ..layout })
    }

    /// Returns the same table with a column's DEFAULT; see [`Column::default_expression`].
    ///
    /// # Errors
    /// There is no such column.
    pub fn default_expression(mut self, column: &str, expression: &str) -> Result<Self, Error> {
        let Some(found) = self.columns.iter_mut().find(|other| other.name.as_str() == column) else {
            return Err(Error::layout(column, "the table has no such column"));
        };
        found.default = ColumnDefault::parse(found.ty, expression);
        Ok(self)
    }

    /// Returns the same table with a column as the catalogue reports it: whether it may be NULL, and its DEFAULT as
    /// [`Column::default_expression`] takes it. A column that the table does not have is skipped.
    #[must_use]
    pub fn with_column_metadata(mut self, column: &str, nullability: Nullability, default: Option<&str>) -> Self {
        if let Some(found) = self.columns.iter_mut().find(|other| other.name.as_str() == column) {
            found.nullability = nullability;
            found.default = default.and_then(|expression| ColumnDefault::parse(found.ty, expression));
        }
        self
    }

    /// Returns the schema's name.
    #[must_use]
    pub fn schema(&self) -> &Identifier {
        &self.schema
    }

    /// Returns the table's name.
    #[must_use]
    pub fn table(&self) -> &Identifier {
        &self.table
    }

    /// Returns the columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the life of a row.
    #[must_use]
    pub fn row_life(&self) -> RowLife {
        self.row_life
    }

    /// Returns `"schema"."table"`, for SQL; the prefix of the messages if there is no table.
    #[must_use]
    pub fn qualified_name(&self) -> String {
        match self.message_prefix() {
            Some(prefix) => prefix,
            None => format!("{}.{}", self.schema, self.table),
        }
    }

    /// Returns the column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.as_str() == name)
    }

    /// Returns whether a header of the event has a column.
    pub(crate) fn has_header_column(&self, header: &str) -> bool {
        self.columns.iter().any(|column| column.event_header() == Some(header))
    }

    pub(crate) fn column_of(&self, field: EventField) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == Some(field))
    }
}

impl Default for TableLayout {
    fn default() -> Self {
        Self::recommended()
    }
}
