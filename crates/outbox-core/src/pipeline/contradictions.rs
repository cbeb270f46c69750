use super::{Found, Loss};
use crate::connector::keys::KeyTable;
use crate::connector::{
    AfterRouter, BinaryForm, DecodedMessages, HeaderConverter, KeyConverter, NullMembers, Placement, RouterConfig,
    Schemas, TimePrecision, ValueConverter, ValueForms, header_converter,
};
use crate::record::{connect_type, has_known_schema};
use crate::{
    Column, ColumnType, ConnectorConfig, Error, EventField, Identifier, Nullability, RowDisposition, TableLayout,
};

/// Finds contradictions in the connector's own keys, and values that Debezium rejects.
pub(super) fn in_connector(config: &ConnectorConfig, found: &mut Found) {
    KeyTable::contradictions(config).into_iter().for_each(|error| found.add(error));
}

/// Checks that the EventRouter sees the rows of the table.
pub(super) fn in_disposition(
    config: &ConnectorConfig,
    disposition: RowDisposition,
    layout: &TableLayout,
) -> Result<(), Error> {
    let table = layout.qualified_name();
    let reason = match disposition {
        RowDisposition::Routed => return Ok(()),
        RowDisposition::NotRouted if !layout.row_life().has_table() => {
            "no DecodeLogicalDecodingMessageContent with an EventRouter after it sees messages: Debezium would write them \
             as they are"
                .to_owned()
        }
        RowDisposition::Filtered => format!("a Filter drops the rows of {table}"),
        RowDisposition::NotRouted => {
            format!("no EventRouter sees the rows of {table}: Debezium would write them as change events")
        }
    };

    let key = match config.routers().next() {
        Some(router) if disposition == RowDisposition::NotRouted => format!("transforms.{router}.predicate"),
        _ => "transforms".to_owned(),
    };
    let value = config.trimmed(&key).unwrap_or_default().to_owned();
    Err(Error::config(key, value, reason))
}

/// Checks that the form is known in which the converter writes the headers.
pub(super) fn in_headers(
    config: &ConnectorConfig,
    router: &RouterConfig,
    (converter, forms): (Option<HeaderConverter>, ValueForms),
    layout: &TableLayout,
) -> Result<(), Error> {
    let class = config.trimmed(header_converter::KEY).unwrap_or_default();
    let is_known = |column: &Column| match converter {
        Some(HeaderConverter::Json(Schemas::Enabled)) => has_known_schema(column, forms),
        Some(HeaderConverter::Json(Schemas::Disabled)) => true,
        _ => class != header_converter::STRING || column.ty().is_scalar(),
    };
    let mut headers = router.placed.iter().filter(|placed| placed.placement == Placement::Header);

    match headers.find(|placed| layout.column(&placed.column).is_some_and(|column| !is_known(column))) {
        Some(placed) => {
            let reason = format!("it writes the header of the column {} in a form that is not modelled", placed.column);
            Err(Error::config(header_converter::KEY, class, reason))
        }
        None => Ok(()),
    }
}

/// Rejects heartbeats that the converter cannot write. A heartbeat is a struct, and stops the task at a converter that
/// takes bytes only.
pub(super) fn in_heartbeats(config: &ConnectorConfig) -> Result<(), Error> {
    let beats = config.trimmed("heartbeat.interval.ms").unwrap_or("0");
    let converter = config.trimmed("value.converter").unwrap_or_default();
    let takes_bytes_only = converter.ends_with(".ByteArrayConverter")
        || (converter.ends_with(".BinaryDataConverter")
            && config.get("value.converter.delegate.converter.type").is_none());
    if beats != "0" && takes_bytes_only {
        let reason = "heartbeats are no bytes and would stop the task: use io.debezium.converters.BinaryDataConverter with \
                      value.converter.delegate.converter.type, or no heartbeat";
        return Err(Error::config("value.converter", converter, reason));
    }
    Ok(())
}

/// Checks that the lists of tables and schemas include the layout's table.
pub(super) fn in_lists(config: &ConnectorConfig, layout: &TableLayout) -> Result<(), Error> {
    if let Some(prefix) = layout.message_prefix() {
        // The layout of a message that was read has no prefix of a producer.
        let is_read = layout.is_of_message();
        let Some(key) = config.included_messages()?.left_out_by(&prefix).filter(|_| !is_read) else { return Ok(()) };
        let reason = format!("it leaves out the prefix {prefix} of the outbox's messages");
        return Err(Error::config(key, config.trimmed(key).unwrap_or_default(), reason));
    }
    let tables = config.included_tables()?;
    let (schema, table) = (layout.schema().as_str(), layout.table().as_str());
    let Some(key) = tables.left_out_by(schema, table) else { return Ok(()) };
    let reason = format!("it leaves out the table {schema}.{table} of the layout");
    Err(Error::config(key, config.trimmed(key).unwrap_or_default(), reason))
}

/// Checks that the members of messages are of types that JSON has, and that the router takes them.
pub(super) fn in_messages(
    router: &RouterConfig,
    messages: DecodedMessages,
    value: Option<ValueConverter>,
    layout: &TableLayout,
    losses: &[Loss],
    found: &mut Found,
) {
    use ColumnType::{Bigint, Boolean, Double, Integer, Json, Text, Uuid, Varchar};
    let refuse = |column: &Column, reason: &str| Error::layout(column.name().as_str(), reason);

    if let Some(timestamp) = &router.timestamp {
        let reason = "a message has no timestamp that the router takes: Debezium's task fails at each event; remove it, and \
                      place the member as a header";
        found.add(Error::config(router.key_of("table.field.event.timestamp"), &**timestamp, reason));
    }

    for column in layout.columns() {
        let is_payload = column.name().as_str() == router.payload;
        match column.ty() {
            Json if !is_payload && router.names(column.name().as_str()) => {
                found.add(refuse(column, "an object or an array is modelled as the payload only"));
            }
            Json if is_payload && !matches!(value, None | Some(ValueConverter::Json(_))) => {
                let reason = "it is an object or an array, which only the JsonConverter writes in a form that can be read: \
                              emit it as a text, or use the JsonConverter";
                found.add(refuse(column, reason));
            }
            Json if is_payload && !losses.contains(&Loss::JsonExpansion) => {
                let reason = "nested, it loses null members and empty arrays, and the task stops for good at some payloads: make \
                              it a text, or accept Loss::JsonExpansion";
                found.add(refuse(column, reason));
            }
            Uuid | Text | Varchar(_) | Integer | Bigint | Double | Boolean | Json => {}
            _ => found.add(refuse(column, "JSON has no such type: make it a text")),
        }
        if column.nullability() == Nullability::Nullable && messages.nulls == NullMembers::Ignore {
            let reason = "null members are left out of messages, and the task stops at a message without the member: set \
                          fields.null.include of the DecodeLogicalDecodingMessageContent to true";
            found.add(refuse(column, reason));
        }
    }
}

/// Rejects configurations that lose payloads, or stop at the first one.
pub(super) fn in_payload(
    router: &RouterConfig,
    converter: ValueConverter,
    forms: ValueForms,
    layout: &TableLayout,
    losses: &[Loss],
) -> Result<(), Error> {
    let is_bytea = layout.column_of(EventField::Payload).is_some_and(|column| column.ty() == ColumnType::Bytea);
    let binary = is_bytea && forms.binary == BinaryForm::Bytes;
    let refuse = |reason| Err(Error::config("value.converter", format!("{converter:?}"), reason));

    match converter {
        ValueConverter::String if losses.contains(&Loss::UnreadableRecords) => {}
        ValueConverter::String if binary => {
            return refuse(
                "the StringConverter writes the name of a Java object in place of a bytea payload, unless \
                 binary.handling.mode makes it text",
            );
        }
        ValueConverter::String if router.has_envelope() => {
            return refuse(
                "the StringConverter writes an envelope in a form that nobody can read; use the JsonConverter",
            );
        }
        ValueConverter::String if router.expansion.is_some() => {
            return refuse("the StringConverter writes an expanded payload in a form that nobody can read");
        }
        ValueConverter::Bytes if !binary => {
            return refuse("it takes bytes only: the payload column has to be bytea, and binary.handling.mode bytes");
        }
        ValueConverter::Bytes if router.has_envelope() => {
            return refuse("it takes bytes only, and an envelope is none");
        }
        _ => {}
    }

    // Debezium expands text only, which neither bytes nor their base64 or hexadecimal form are.
    if router.expansion.is_some() && !is_bytea && !losses.contains(&Loss::JsonExpansion) {
        return Err(Error::config(
            router.key_of("table.expand.json.payload"),
            "true",
            "it drops null members and empty arrays and stops for good at some payloads; \
             leave it out, or accept Loss::JsonExpansion",
        ));
    }
    Ok(())
}

/// Checks that the header `id` stays in the records.
pub(super) fn in_dropped_id(after: &AfterRouter, losses: &[Loss]) -> Result<(), Error> {
    match after.id_dropped_by() {
        Some(key) if !losses.contains(&Loss::UnreadableRecords) => {
            let reason = "without the header id an event cannot be recognised when it comes a second time";
            Err(Error::config(key, "id", reason))
        }
        _ => Ok(()),
    }
}

/// Checks that values whose fields a transformation changes are written as JSON.
pub(super) fn in_changed_values(
    after: &AfterRouter,
    converter: Option<ValueConverter>,
    losses: &[Loss],
) -> Result<(), Error> {
    let Some(key) = after.value_changed_by() else { return Ok(()) };
    match converter {
        None | Some(ValueConverter::Json(_)) if losses.contains(&Loss::UnreadableRecords) => Ok(()),
        None | Some(ValueConverter::Json(_)) => {
            Err(Error::config(key, "", "it changes the fields of values, so that an event cannot be read from them"))
        }
        Some(_) => Err(Error::config(key, "", "changes of values are modelled with the JsonConverter only")),
    }
}

/// Checks that Debezium has a text for the column by which events are routed.
pub(super) fn in_route(router: &RouterConfig, forms: ValueForms, layout: &TableLayout) -> Result<(), Error> {
    match layout.column(&router.route_by) {
        Some(column) if connect_type(column, forms) != "string" && !matches!(column.ty(), ColumnType::Other(_)) => {
            let reason = "events are routed by text that is never NULL: Debezium's task fails at any other";
            Err(Error::config(router.key_of("route.by.field"), &*router.route_by, reason))
        }
        _ => Ok(()),
    }
}

/// Checks that the converter of keys takes the type of the key's column.
pub(super) fn in_key(
    router: &RouterConfig,
    converter: KeyConverter,
    forms: ValueForms,
    layout: &TableLayout,
    losses: &[Loss],
) -> Result<(), Error> {
    let Some(column) = layout.column(&router.key) else { return Ok(()) };
    let kind = connect_type(column, forms);

    // A numeric is of the type bytes as well.
    let is_bytes = column.ty() == ColumnType::Bytea && forms.binary == BinaryForm::Bytes;
    let refuse = |reason: &str| Err(Error::config("key.converter", format!("{converter:?}"), reason));

    match converter {
        KeyConverter::Number(number) if number.kind() != kind => {
            let taken = number.kind();
            refuse(&format!(
                "it takes {taken} only, and the key {} is {kind}: Debezium's task fails at each row",
                router.key
            ))
        }
        KeyConverter::Bytes if !is_bytes => refuse(&format!(
            "it takes bytes only, and the key {} is {kind}: Debezium's task fails at each row",
            router.key
        )),
        KeyConverter::String if is_bytes && !losses.contains(&Loss::UnreadableRecords) => {
            refuse("the StringConverter writes the name of a Java object in place of a bytea key")
        }
        _ => Ok(()),
    }
}

/// Types whose form in JSON is not modelled.
pub(super) fn in_forms(
    router: &RouterConfig,
    (key, value): (KeyConverter, ValueConverter),
    forms: ValueForms,
    layout: &TableLayout,
) -> Result<(), Error> {
    let is_time = |column: &Column| column.ty().is_time();
    if forms.time == TimePrecision::Connect && layout.column(&router.key).is_some_and(is_time) {
        let reason = "with time.precision.mode=connect the form of such a key is not modelled";
        return Err(Error::config(router.key_of("table.field.event.key"), &*router.key, reason));
    }
    if forms.time == TimePrecision::Connect && layout.column(&router.payload).is_some_and(is_time) {
        let reason = "with time.precision.mode=connect the form of such a payload is not modelled";
        return Err(Error::config(router.key_of("table.field.event.payload"), &*router.payload, reason));
    }

    let is_number =
        |mode| !matches!(mode, TimePrecision::Connect | TimePrecision::IsoString | TimePrecision::Structured);
    if router.timestamp.is_some() && !is_number(forms.time) {
        let reason = "with table.field.event.timestamp Debezium's task fails at each row: the router takes a number only; \
                      set it to adaptive";
        return Err(Error::config("time.precision.mode", format!("{:?}", forms.time), reason));
    }

    let is_struct = |column: &&Column| {
        is_time(column) || matches!(column.ty(), ColumnType::Timestamptz | ColumnType::Timetz | ColumnType::Interval)
    };
    let structured =
        || layout.columns().iter().find(|column| is_struct(column) && router.names(column.name().as_str()));
    if forms.time == TimePrecision::Structured
        && let Some(column) = structured()
    {
        let reason = format!(
            "with it, the column {} is a struct in Debezium, whose form as a header, key or part of a value is not modelled",
            column.name()
        );
        return Err(Error::config("time.precision.mode", "structured", reason));
    }

    in_json(router, (key, value), forms, layout)
}

/// Rejects types whose form is known in some converters only.
fn in_json(
    router: &RouterConfig,
    (key, value): (KeyConverter, ValueConverter),
    forms: ValueForms,
    layout: &TableLayout,
) -> Result<(), Error> {
    let type_of = |name: &str| layout.column(name).map(Column::ty);
    let lacks_schema = |name: &str| layout.column(name).is_some_and(|column| !has_known_schema(column, forms));
    let refuse = |option: &str, name: &str, reason: &str| {
        let ty = type_of(name).map(ColumnType::sql).unwrap_or_default();
        Err(Error::config(router.key_of(option), name, format!("the column is of the type {ty}: {reason}")))
    };
    let schemas = "its precision, length or labels are unknown here, which are part of the schema that the JsonConverter writes; set \
                   schemas.enable to false";
    if key == KeyConverter::Json(Schemas::Enabled) && lacks_schema(&router.key) {
        return refuse("table.field.event.key", &router.key, schemas);
    }

    let is_composed = |name: &str| {
        let is_one = |ty: ColumnType| ty.is_decimal() || matches!(ty, ColumnType::Array(_) | ColumnType::Bits);
        type_of(name).is_some_and(is_one)
    };
    let (placement, payload) = ("table.fields.additional.placement", "table.field.event.payload");
    let in_envelope = router.placed.iter().filter(|placed| placed.placement == Placement::Envelope);
    let mut in_value = in_envelope.map(|placed| (placement, &placed.column)).chain([(payload, &router.payload)]);
    let (unknown, reason) = match value {
        ValueConverter::Json(Schemas::Enabled) => (in_value.find(|(_, name)| lacks_schema(name)), schemas),
        ValueConverter::String => {
            // A payload alone is written as a header is.
            let is_unknown = |(option, name): &(&str, &String)| {
                is_composed(name) && (*option == placement || type_of(name).is_some_and(|ty| !ty.is_scalar()))
            };
            (in_value.find(is_unknown), "it is modelled with the JsonConverter only")
        }
        _ => (None, ""),
    };

    unknown.map_or(Ok(()), |(option, name)| refuse(option, name, reason))
}

/// Checks the options for types that few tables have.
pub(super) fn in_rare_types(
    config: &ConnectorConfig,
    router: &RouterConfig,
    layout: &TableLayout,
) -> Result<(), Error> {
    for (ty, key, modelled) in
        [(ColumnType::Hstore, "hstore.handling.mode", "json"), (ColumnType::Money, "money.fraction.digits", "2")]
    {
        let is_named = |column: &&Column| column.ty() == ty && router.names(column.name().as_str());
        let value = config.trimmed(key).unwrap_or(modelled);
        if !value.eq_ignore_ascii_case(modelled) && layout.columns().iter().any(|column| is_named(&column)) {
            return Err(Error::config(key, value, format!("for columns of records, {modelled} alone is modelled")));
        }
    }
    Ok(())
}

pub(super) fn slot(config: &ConnectorConfig) -> Result<Identifier, Error> {
    let name = config.trimmed("slot.name").unwrap_or("debezium");
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(legal) {
        return Err(Error::config("slot.name", name, "a slot's name has 1 to 63 characters of a-z, 0-9 and _"));
    }
    Identifier::new(name)
}

pub(super) fn publication(config: &ConnectorConfig) -> Result<Identifier, Error> {
    let name = config.trimmed("publication.name").unwrap_or("dbz_publication");
    Identifier::new(name)
        .map_err(|e| Error::config("publication.name", name, "it is no name in PostgreSQL").caused_by(e))
}

/// The producer's option that limits a record.
pub(super) const RECORD_LIMIT: &str = "producer.override.max.request.size";

/// Returns the limit of the connector's producer; `None` if it is the default, or a placeholder, which Connect
/// resolves.
pub(super) fn record_limit(config: &ConnectorConfig) -> Result<Option<usize>, Error> {
    match config.trimmed(RECORD_LIMIT).filter(|value| !value.contains("${")) {
        None => Ok(None),
        Some(value) => {
            let limit = value.parse();
            limit.map(Some).map_err(|_| Error::config(RECORD_LIMIT, value, "it is a number of bytes"))
        }
    }
}
