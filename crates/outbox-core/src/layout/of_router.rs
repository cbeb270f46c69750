use super::{Column, EventField, Identifier, TableLayout};
use crate::connector::{RouterConfig, RowSource, Transforms};
use crate::pipeline::Found;
use crate::{ConnectorConfig, Error};

impl TableLayout {
    /// Creates a table that others write, with those of its columns that the EventRouter's options name. The event's
    /// type is in the column that `table.field.event.type` names, else in `type` or `event_type`.
    ///
    /// # Errors
    /// The options contradict each other, or as in [`existing`](Self::existing).
    pub fn from_router(
        config: &ConnectorConfig,
        schema: Identifier,
        table: Identifier,
        columns: impl IntoIterator<Item = Column>,
    ) -> Result<Self, Error> {
        let mut found = Found::default();
        let source = RowSource::Table(schema.as_str(), table.as_str());
        let name = Transforms::of(config, source, &mut found).router;
        let Some(router) = name.and_then(|name| RouterConfig::of(config, name, &mut found)) else {
            found.into_result()?;
            return Err(Error::config("transforms", "", "no EventRouter sees the rows of the table"));
        };
        Self::of_options(config, &router, (schema, table), columns)
    }

    /// Creates the layout of those columns that a router's options name, with the parts of an event that they hold if
    /// they fit.
    pub(super) fn of_options(
        config: &ConnectorConfig,
        router: &RouterConfig,
        (schema, table): (Identifier, Identifier),
        columns: impl IntoIterator<Item = Column>,
    ) -> Result<Self, Error> {
        let event_type = config.trimmed(&router.key_of("table.field.event.type")).unwrap_or("type");
        // A column may serve several options. The first counts, because the router finds columns by name.
        let fields = [
            (EventField::Id, router.id.as_str()),
            (EventField::Payload, &router.payload),
            (EventField::AggregateId, &router.key),
            (EventField::AggregateType, &router.route_by),
            (EventField::EventType, event_type),
            (EventField::EventType, "event_type"),
        ];

        let mut used = Vec::new();
        for column in columns.into_iter().filter(|column| router.names(column.name.as_str())) {
            let is_new = |field: EventField| used.iter().all(|other: &Column| other.field != Some(field));
            let field = fields.iter().find(|(field, name)| *name == column.name.as_str() && is_new(*field));
            let field = field.map(|(field, _)| *field).filter(|field| field.is_routed_from(column.ty));
            used.push(column.holding(field));
        }

        let required = [
            (EventField::Id, "table.field.event.id", &router.id),
            (EventField::Payload, "table.field.event.payload", &router.payload),
        ];

        for (field, option, name) in required {
            let refuse = |reason: String| Err(Error::config(router.key_of(option), name.as_str(), reason));
            match used.iter().find(|column| column.name.as_str() == name.as_str()) {
                None => return refuse("the table has no such column".to_owned()),
                Some(column) if !field.is_routed_from(column.ty) => {
                    return refuse(format!("the column is of {}, which is not modelled here", column.ty.sql()));
                }
                Some(_) => {}
            }
        }
        Self::holding(&[EventField::Id, EventField::Payload], EventField::is_routed_from, schema, table, used)
    }
}
