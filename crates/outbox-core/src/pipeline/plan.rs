use super::placed_headers::PlacedHeaders;
use crate::connector::{MissingColumn, Placed, Placement, RouterConfig};
use crate::{Column, ColumnType, Error, EventField, Nullability, TableLayout};

/// The router's columns, found in the layout: positions in a row, and what each place of a record tells.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: usize,
    pub(crate) key: usize,
    pub(crate) payload: usize,
    pub(crate) timestamp: Option<usize>,
    pub(crate) schema_version: Option<usize>,
    pub(crate) route_by: usize,
    pub(crate) partition: Option<usize>,
    pub(crate) headers: PlacedHeaders,
    pub(crate) envelope: Vec<Target>,
}

/// A placed column.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) alias: String,
    pub(crate) index: usize,
    pub(crate) ty: ColumnType,
    pub(crate) field: Option<EventField>,
}

impl Plan {
    pub(super) fn new(router: &RouterConfig, layout: &TableLayout) -> Result<Self, Error> {
        let columns = Columns { router, layout };
        let (id, id_column) = columns.named("table.field.event.id", &router.id)?;
        if id_column.field() != Some(EventField::Id) {
            return columns.refuse("table.field.event.id", &router.id, "the header id has to be the event's id");
        }
        let (payload, payload_column) = columns.named("table.field.event.payload", &router.payload)?;
        if payload_column.field() != Some(EventField::Payload) {
            return columns.refuse("table.field.event.payload", &router.payload, "this column is not the payload");
        }
        let (key, key_column) = columns.named("table.field.event.key", &router.key)?;
        if !key_column.ty().is_connect_string() && key_column.ty() != ColumnType::Integer {
            return columns.refuse("table.field.event.key", &router.key, "a key is text, uuid or integer");
        }
        if key_column.nullability() == Nullability::Nullable {
            return columns.refuse(
                "table.field.event.key",
                &router.key,
                "a nullable key loses the order of its events",
            );
        }
        let (route_by, route_column) = columns.named("route.by.field", &router.route_by)?;
        if !route_column.ty().is_text() || route_column.nullability() == Nullability::Nullable {
            let reason = "events are routed by text that is never NULL: Debezium's task fails at any other";
            return columns.refuse("route.by.field", &router.route_by, reason);
        }
        let mut plan = Self {
            id,
            key,
            payload,
            timestamp: columns.timestamp()?,
            schema_version: columns.schema_version()?,
            route_by,
            partition: None,
            headers: PlacedHeaders::default(),
            envelope: Vec::new(),
        };
        for placed in &router.placed {
            plan.place(&columns, placed)?;
        }
        Ok(plan)
    }

    fn place(&mut self, columns: &Columns<'_>, placed: &Placed) -> Result<(), Error> {
        let option = "table.fields.additional.placement";
        let Some(index) = columns.layout.position(&placed.column) else {
            return match columns.router.missing_column {
                MissingColumn::Ignore => Ok(()),
                MissingColumn::Error => columns.refuse(option, &placed.column, "the table has no such column"),
            };
        };
        let (_, column) = columns.named(option, &placed.column)?;
        let target = Target { alias: placed.alias.clone(), index, ty: column.ty(), field: column.field() };
        match placed.placement {
            Placement::Header if column.nullability() == Nullability::Nullable => {
                let reason = "the column is nullable: NULL becomes a header with a null value, \
                              and many clients, rskafka among them, cannot read a fetch that holds one";
                return columns.refuse(option, &placed.column, reason);
            }
            Placement::Header if self.has_other_header(&target) => {
                let reason = "another column is the header of this name already, and no consumer could tell them apart";
                return columns.refuse(option, &placed.alias, reason);
            }
            Placement::Header => self.headers.push(target),
            Placement::Envelope => {
                if placed.alias == "payload" || self.envelope.iter().any(|other| other.alias == placed.alias) {
                    return columns.refuse(option, &placed.alias, "the envelope has a field of this name already");
                }
                self.envelope.push(target);
            }
            Placement::Partition if column.ty() != ColumnType::Integer => {
                return columns.refuse(option, &placed.column, "a partition is taken from an integer column only");
            }
            Placement::Partition => self.partition = Some(index),
        }
        Ok(())
    }

    fn has_other_header(&self, target: &Target) -> bool {
        (target.alias == "id" && target.index != self.id)
            || self.headers.iter().any(|other| other.alias == target.alias && other.index != target.index)
    }
}

struct Columns<'a> {
    router: &'a RouterConfig,
    layout: &'a TableLayout,
}

impl<'a> Columns<'a> {
    fn named(&self, option: &str, name: &str) -> Result<(usize, &'a Column), Error> {
        let found = self.layout.columns().iter().enumerate().find(|(_, column)| column.name().as_str() == name);
        found.ok_or_else(|| Error::config(self.router.key_of(option), name, "the table has no such column"))
    }

    fn refuse<T>(&self, option: &str, value: &str, reason: &str) -> Result<T, Error> {
        Err(Error::config(self.router.key_of(option), value, reason))
    }

    fn timestamp(&self) -> Result<Option<usize>, Error> {
        let option = "table.field.event.timestamp";
        let Some(name) = &self.router.timestamp else { return Ok(None) };
        let (index, column) = self.named(option, name)?;
        match column.ty() {
            ColumnType::TimestampMillis | ColumnType::TimestampMicros => Ok(Some(index)),
            ColumnType::Timestamptz => {
                let reason = "the column is timestamptz, which Debezium reads as text: its task fails at the first row \
                              (\"is not of type INT64\"); use timestamp(6) in UTC";
                self.refuse(option, name, reason)
            }
            _ => self.refuse(option, name, "the event's timestamp is a timestamp column"),
        }
    }

    fn schema_version(&self) -> Result<Option<usize>, Error> {
        let option = "table.field.event.schema.version";
        let Some(name) = &self.router.schema_version else { return Ok(None) };
        let (index, column) = self.named(option, name)?;
        if column.ty() != ColumnType::Integer || column.nullability() == Nullability::Nullable {
            return self.refuse(option, name, "a schema version is taken from an integer column that is never NULL");
        }
        Ok(Some(index))
    }
}
