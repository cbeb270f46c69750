use super::placed_headers::{PlacedHeaders, Target};
use super::{Found, Loss};
use crate::connector::{MissingColumn, Placed, Placement, RouterConfig};
use crate::{Column, ColumnType, Error, EventField, Nullability, TableLayout};

/// The router's columns, found in the layout: positions in a row, and what each place of a record reports.
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

impl Plan {
    /// Creates the plan of a router over a layout, and collects contradictions. Returns `None` if a column is missing
    /// or cannot be used.
    pub(super) fn new(router: &RouterConfig, layout: &TableLayout, losses: &[Loss], found: &mut Found) -> Option<Self> {
        let columns = Columns {
            router,
            layout,
            takes_null: losses.contains(&Loss::NullableColumns),
            takes_repeated: losses.contains(&Loss::UnreadableRecords),
        };
        let id = found.take(columns.id());
        let payload = found.take(columns.payload());
        let key = found.take(columns.key());
        let route_by = found.take(columns.route_by());
        let timestamp = found.take(columns.timestamp());
        let schema_version = found.take(columns.schema_version());
        let is_complete = [id, payload, key, route_by].iter().all(Option::is_some)
            && [timestamp, schema_version].iter().all(Option::is_some);

        // Placed columns are checked in any case.
        let mut plan = Self {
            id: id.unwrap_or_default(),
            key: key.unwrap_or_default(),
            payload: payload.unwrap_or_default(),
            timestamp: timestamp.flatten(),
            schema_version: schema_version.flatten(),
            route_by: route_by.unwrap_or_default(),
            partition: None,
            headers: PlacedHeaders::default(),
            envelope: Vec::new(),
        };

        for placed in &router.placed {
            found.take(plan.place(&columns, placed));
        }
        is_complete.then_some(plan)
    }

    /// Adds a column that the configuration places in a header, the envelope or the partition.
    fn place(&mut self, columns: &Columns<'_>, placed: &Placed) -> Result<(), Error> {
        let option = "table.fields.additional.placement";
        let Some(index) = columns.layout.position(&placed.column) else {
            return match columns.router.missing_column {
                MissingColumn::Ignore => Ok(()),
                MissingColumn::Error => columns.refuse(option, &placed.column, "the table has no such column"),
            };
        };

        let (_, column) = columns.named(option, &placed.column)?;
        let target = Target {
            alias: placed.alias.clone(),
            index,
            ty: column.ty(),
            field: column.field(),
            header: column.event_header().map(Box::from),
        };

        match placed.placement {
            Placement::Header if columns.is_refused_for_null(column) => {
                let reason = "the column is nullable: NULL becomes a header with a null value, \
                              and many clients, rskafka among them, cannot read a fetch that holds one";
                return columns.refuse(option, &placed.column, reason);
            }
            Placement::Header if !columns.takes_repeated && self.has_other_header(&target) => {
                let reason =
                    "another column is the header of this name already, and no consumer could distinguish them";
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
    takes_null: bool,
    /// Whether several columns may be headers of one name.
    takes_repeated: bool,
}

impl<'a> Columns<'a> {
    fn id(&self) -> Result<usize, Error> {
        let (option, name) = ("table.field.event.id", &self.router.id);
        match self.named(option, name)? {
            (id, column) if column.field() == Some(EventField::Id) => Ok(id),
            _ => self.refuse(option, name, "the header id has to be the event's id"),
        }
    }

    fn payload(&self) -> Result<usize, Error> {
        let (option, name) = ("table.field.event.payload", &self.router.payload);
        match self.named(option, name)? {
            (payload, column) if column.field() == Some(EventField::Payload) => Ok(payload),
            _ => self.refuse(option, name, "this column is not the payload"),
        }
    }

    fn key(&self) -> Result<usize, Error> {
        let (option, name) = ("table.field.event.key", &self.router.key);
        let (key, column) = self.named(option, name)?;
        if !column.ty().is_scalar() && column.ty() != ColumnType::Bytea {
            return self.refuse(option, name, &format!("a key cannot be of type {}", column.ty().sql()));
        }
        if self.is_refused_for_null(column) {
            return self.refuse(option, name, "a nullable key loses the order of its events");
        }
        Ok(key)
    }

    /// Returns the position of the column by which events are routed.
    fn route_by(&self) -> Result<usize, Error> {
        let (option, name) = ("route.by.field", &self.router.route_by);
        let (route_by, column) = self.named(option, name)?;
        if self.is_refused_for_null(column) {
            let reason = "events are routed by text that is never NULL: Debezium's task fails at any other";
            return self.refuse(option, name, reason);
        }
        Ok(route_by)
    }

    fn is_refused_for_null(&self, column: &Column) -> bool {
        !self.takes_null && column.nullability() == Nullability::Nullable
    }

    fn named(&self, option: &str, name: &str) -> Result<(usize, &'a Column), Error> {
        let found = self.layout.columns().iter().enumerate().find(|(_, column)| column.name().as_str() == name);
        match found {
            None => self.refuse(option, name, "the table has no such column"),
            Some((_, column)) if matches!(column.ty(), ColumnType::Other(_)) => {
                self.refuse(option, name, &format!("the column is of {}, which is not modelled", column.ty().sql()))
            }
            Some(found) => Ok(found),
        }
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
        if column.ty() != ColumnType::Integer || self.is_refused_for_null(column) {
            return self.refuse(option, name, "a schema version is taken from an integer column that is never NULL");
        }
        Ok(Some(index))
    }
}
