//! The pipelines that are rejected, each with the key and the reason.

use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};

use crate::fixtures::{
    BINARY_DATA, BYTE_ARRAY, JSON, STRING, foreign, identifier, layout, not_null, nullable, order, recommended, router,
};
use crate::golden::recommended_connector;

#[track_caller]
fn refused(config: ConnectorConfig, layout: TableLayout, key: &str, reason: &str) {
    let error = Pipeline::new(config, layout).expect_err(reason);
    assert!(error.is_configuration() && !error.is_invalid_event(), "{error}");
    assert_eq!(error.field(), Some(key), "{error}");
    assert!(error.broken_rule().unwrap().contains(reason), "{error}");
    assert!(error.to_string().contains(key) && error.to_string().contains(reason), "{error}");
}

/// Checks values of one key that the recommended pipeline rejects.
fn refused_values(cases: &[(&str, &str, &str)]) {
    for (key, value, reason) in cases {
        refused(recommended().with(*key, *value), TableLayout::recommended(), key, reason);
    }
}

#[track_caller]
fn router_refused(option: &str, value: &str, reason: &str) {
    refused(recommended().with(router(option), value), TableLayout::recommended(), &router(option), reason);
}

fn of(layout: &TableLayout) -> ConnectorConfig {
    ConnectorConfig::recommended(layout)
}

#[test]
fn a_connector_that_is_no_outbox_connector_is_refused() {
    refused_values(&[
        ("connector.class", "io.debezium.connector.mysql.MySqlConnector", "reads PostgreSQL"),
        ("plugin.name", "decoderbufs", "pgoutput"),
        ("topic.prefix", " ", "Debezium refuses a connector without it"),
        ("binary.handling.mode", "octal", "no such mode"),
        ("time.precision.mode", "connect", "takes a number only"),
        ("time.precision.mode", "structured", "takes a number only"),
        ("header.converter", BYTE_ARRAY, "is no bytes"),
        ("header.converter", "io.confluent.connect.avro.AvroConverter", "not modelled"),
        ("column.exclude.list", "outbox.outbox_message.payload", "not modelled"),
        ("table.exclude.list", "outbox.outbox_message", "leaves out the table"),
        ("schema.include.list", "public", "leaves out the table"),
        ("schema.exclude.list", "outbox", "leaves out the table"),
        ("skipped.operations", "c", "none would be published"),
        ("skipped.operations", "u, c,d", "none would be published"),
        ("table.include.list", "outbox.other, public.*", "leaves out the table outbox.outbox_message"),
        ("table.include.list", "outbox.outbox_messages?x", "leaves out the table"),
        ("table.include.list", "(", "regular expression"),
    ]);
    for (key, reason) in [
        ("connector.class", "reads PostgreSQL"),
        ("plugin.name", "has to be named"),
        ("topic.prefix", "without it"),
        ("table.include.list", "every table"),
        ("key.converter", "worker's default"),
        ("value.converter", "worker's default"),
        ("transforms", "an EventRouter"),
    ] {
        refused(recommended().without(key), TableLayout::recommended(), key, reason);
    }
}

#[test]
fn values_that_debezium_rejects_are_refused() {
    refused_values(&[
        ("tombstones.on.delete", "no", "one of true, false"),
        ("tasks.max", "many", "a whole number of at least 1"),
        ("tasks.max", "0", "a whole number of at least 1"),
        ("poll.interval.ms", "0", "a whole number of at least 1"),
        ("snapshot.mode", "never", "one of always, initial"),
        ("lsn.flush.mode", "never", "one of connector, connector_and_driver, manual"),
        ("errors.tolerance", "some", "dropped without a trace"),
    ]);

    let config = recommended().with("tasks.max", "many").with("errors.tolerance", "some").without("topic.prefix");
    let error = Pipeline::new(config, TableLayout::recommended()).unwrap_err();
    let fields: Vec<_> = error.contradictions().map(|error| error.field().unwrap()).collect();
    assert_eq!(fields, ["errors.tolerance", "topic.prefix", "tasks.max"]);
}

#[test]
fn values_that_debezium_takes_are_accepted() {
    for (key, value) in [
        ("tombstones.on.delete", " TRUE "),
        ("tombstones.on.delete", "${env:TOMBSTONES}"),
        ("tasks.max", "${file:/run/connect.properties:tasks}"),
        ("snapshot.mode", "No_Data"),
        ("snapshot.mode.custom.name", "own"),
        ("max.queue.size", "16384"),
        ("tombstones.on.deletion", "no"),
        ("an.unknown.key", ""),
    ] {
        let accepted = Pipeline::new(recommended().with(key, value), TableLayout::recommended());
        accepted.unwrap_or_else(|error| panic!("{key}={value}: {error}"));
    }
}

#[test]
fn every_contradiction_is_reported() {
    let config =
        recommended().without("topic.prefix").without("key.converter").with("slot.name", "No").with("column.a", "b");
    let error = Pipeline::new(config, TableLayout::recommended()).unwrap_err();
    let fields: Vec<_> = error.contradictions().map(|error| error.field().unwrap()).collect();
    assert_eq!(fields, ["key.converter", "topic.prefix", "column.a", "slot.name"]);
    assert!(fields.iter().all(|field| error.to_string().contains(field)), "{error}");
}

#[test]
fn columns_that_may_be_null_can_be_accepted() {
    let text = |field, name| nullable(field, name, ColumnType::Text);
    let columns = vec![
        not_null(EventField::Id, "id", ColumnType::Uuid),
        nullable(EventField::Payload, "payload", ColumnType::Json),
        text(EventField::AggregateType, "kind"),
        text(EventField::AggregateId, "agg"),
        text(EventField::EventType, "event_type"),
    ];
    let layout = TableLayout::new(identifier("public"), identifier("events"), columns).unwrap();
    let error = Pipeline::new(of(&layout), layout.clone()).unwrap_err();
    assert_eq!(error.contradictions().count(), 4, "{error}");
    Pipeline::accepting(&[Loss::NullableColumns], of(&layout), layout).unwrap();
}

#[test]
fn one_column_may_serve_several_options_of_an_existing_table() {
    let columns = || {
        vec![
            not_null(EventField::Id, "id", ColumnType::Uuid),
            not_null(EventField::EventType, "type", ColumnType::Text),
            nullable(EventField::Payload, "payload", ColumnType::Jsonb),
        ]
    };

    let named = || (identifier("public"), identifier("events"));
    let (schema, table) = named();
    assert!(TableLayout::new(schema, table, columns()).is_err());

    let (schema, table) = named();
    let layout = TableLayout::existing(schema, table, columns()).unwrap();
    let config = of(&layout)
        .with(router("route.by.field"), "type")
        .with(router("table.field.event.key"), "id")
        .with(router("table.fields.additional.placement"), "type:header");
    let pipeline = Pipeline::new(config, layout).unwrap();
    let error = pipeline.row(&order().build().unwrap()).unwrap_err();
    assert_eq!(error.field(), Some("aggregate_type"), "{error}");
}

#[test]
fn names_that_postgresql_would_refuse_are_refused() {
    let long = "x".repeat(64);
    for name in ["", "Outbox", "a-b", "ключ", "a b", &long] {
        refused_values(&[("slot.name", name, "1 to 63 characters of a-z, 0-9 and _")]);
    }
    for name in ["", &long, "a\u{7}b"] {
        let config = recommended().with("publication.name", name);
        refused(config, TableLayout::recommended(), "publication.name", "no name in PostgreSQL");
    }
}

#[test]
fn other_transformations_are_refused() {
    refused_values(&[
        ("transforms", "outbox,outbox", "a name twice"),
        ("transforms", "", "an EventRouter"),
        ("transforms.outbox.type", "io.debezium.transforms.ExtractNewRecordState", "io.debezium.transforms.outbox"),
    ]);
    let renamed = recommended().with("transforms", "router");
    refused(renamed, TableLayout::recommended(), "transforms.router.type", "EventRouter");
}

#[test]
fn converters_that_are_not_modelled_are_refused() {
    refused_values(&[
        ("value.converter", "io.confluent.connect.avro.AvroConverter", "not modelled"),
        ("key.converter", BYTE_ARRAY, "takes bytes only"),
        ("key.converter", "LongConverter", "takes int64 only"),
    ]);
    for (key, value, reason) in [
        ("value.converter.schemas.enable", "yes", "either true or false"),
        ("value.converter.replace.null.with.default", "0", "either true or false"),
    ] {
        let config = recommended().with("value.converter", JSON).with(key, value);
        refused(config, TableLayout::recommended(), key, reason);
    }

    let config = recommended().with("key.converter", JSON).with("key.converter.schemas.enable", "1");
    refused(config, TableLayout::recommended(), "key.converter.schemas.enable", "either true or false");
}

#[test]
fn converters_that_would_spoil_the_payload_are_refused() {
    let (text, bytes) = (layout(ColumnType::Json, vec![]), layout(ColumnType::Bytea, vec![]));
    let envelope = router("table.fields.additional.placement");
    refused(of(&bytes).with("value.converter", STRING), bytes.clone(), "value.converter", "name of a Java object");
    let config = of(&text).with(&envelope, "event_type:envelope");
    refused(config, text.clone(), "value.converter", "use the JsonConverter");
    let config = of(&bytes).with("value.converter", BYTE_ARRAY).with(&envelope, "event_type:envelope");
    refused(config, bytes.clone(), "value.converter", "an envelope is none");

    for ty in [ColumnType::Json, ColumnType::Jsonb, ColumnType::Text, ColumnType::Varchar(9)] {
        for converter in [BYTE_ARRAY, BINARY_DATA] {
            let text = layout(ty, vec![]);
            refused(of(&text).with("value.converter", converter), text, "value.converter", "has to be bytea");
        }
    }
}

#[test]
fn the_delegate_of_a_converter_for_bytes_writes_what_is_not_bytes() {
    let text = layout(ColumnType::Json, vec![]);
    let delegate = "value.converter.delegate.converter.type";
    let config = |class: &str| of(&text).with("value.converter", BINARY_DATA).with(delegate, class);
    for class in [STRING, JSON] {
        Pipeline::new(config(class), text.clone()).unwrap();
    }
    refused(config("io.confluent.connect.avro.AvroConverter"), text.clone(), "value.converter", "has to be bytea");
    let keys = |config: ConnectorConfig| config.with("key.converter", BINARY_DATA);
    let delegate = "key.converter.delegate.converter.type";
    refused(keys(of(&text)), text.clone(), delegate, "needs a converter for keys");
    Pipeline::new(keys(of(&text)).with(delegate, STRING), text).unwrap();
}

#[test]
fn what_loses_events_or_stops_at_a_heartbeat_is_refused() {
    refused_values(&[
        ("errors.tolerance", "all", "dropped without a trace"),
        ("event.processing.failure.handling.mode", "warn", "is dropped"),
    ]);
    let bytes = layout(ColumnType::Bytea, vec![]);
    let binary = || of(&bytes).with("value.converter", BYTE_ARRAY);
    refused(binary(), bytes.clone(), "value.converter", "heartbeats are no bytes");
    let lone = of(&bytes).without("value.converter.delegate.converter.type");
    refused(lone, bytes.clone(), "value.converter", "delegate.converter.type");
    Pipeline::new(binary().with("heartbeat.interval.ms", "0"), bytes.clone()).unwrap();
    Pipeline::new(of(&bytes), bytes.clone()).unwrap();
}

#[test]
fn an_expansion_has_to_be_accepted() {
    let (text, bytes) = (layout(ColumnType::Json, vec![]), layout(ColumnType::Bytea, vec![]));
    let key = router("table.expand.json.payload");
    let expanding = |layout: &TableLayout| of(layout).with("value.converter", JSON).with(&key, "TRUE");
    refused(expanding(&text), text.clone(), &key, "accept Loss::JsonExpansion");
    // Debezium expands text only.
    Pipeline::new(expanding(&bytes), bytes).unwrap();
    refused(of(&text).with(&key, "true"), text.clone(), "value.converter", "nobody can read");
    assert!(Pipeline::accepting(&[Loss::JsonExpansion], expanding(&text), text).is_ok());
}

#[test]
fn options_of_the_router_have_the_values_that_debezium_takes() {
    router_refused("table.fields.additional.error.on.missing", "false", "table.field.additional.missing");
    router_refused("table.field.additional.missing", "warn", "one of error, ignore");
    router_refused("table.json.payload.null.behavior", "keep", "one of ignore, optional_bytes");
    router_refused("table.json.payload.empty.array.behavior", "", "one of ignore, optional_string");
    router_refused("table.expand.json.payload", "on", "either true or false");
    router_refused("route.tombstone.on.empty.payload", "", "either true or false");
    router_refused("route.topic.regex", "(?<a>", "cannot be used");
    router_refused("route.topic.replacement", "outbox.${x}", "no group");

    let expanding = recommended().with("value.converter", JSON).with(router("table.expand.json.payload"), "true");
    let renaming = expanding.with(router("field.name.adjustment.mode"), "avro_unicode");
    refused(renaming, TableLayout::recommended(), &router("field.name.adjustment.mode"), "not modelled");
    let tolerant = recommended()
        .with(router("route.tombstone.on.empty.payload"), " True ")
        .with(router("table.field.additional.missing"), "IGNORE")
        .with(router("field.name.adjustment.mode"), "none");
    assert!(Pipeline::new(tolerant, TableLayout::recommended()).is_ok());
}

#[test]
fn columns_have_to_be_there_and_fit() {
    for option in ["table.field.event.id", "table.field.event.key", "table.field.event.payload"] {
        router_refused(option, "nowhere", "no such column");
        refused(
            recommended().without(&router(option)).with(router(option), ""),
            TableLayout::recommended(),
            &router(option),
            "no such column",
        );
    }

    router_refused("table.field.event.id", "aggregate_id", "has to be the event's id");
    router_refused("table.field.event.payload", "headers", "not the payload");
    router_refused("table.field.event.key", "payload", "loses the order");
    let bytes = layout(ColumnType::Bytea, vec![]);
    let keyed = ConnectorConfig::recommended(&bytes).with(router("table.field.event.key"), "payload");
    refused(keyed, bytes, "key.converter", "name of a Java object");
    router_refused("route.by.field", "nowhere", "no such column");
    router_refused("route.by.field", "schema_version", "text that is never NULL");
    router_refused("table.field.event.timestamp", "nowhere", "no such column");
    router_refused("table.field.event.timestamp", "schema_version", "is a timestamp column");
    router_refused("table.field.event.schema.version", "event_type", "integer column");

    // Debezium's default names are not those of this table.
    let default = recommended().without(&router("table.field.event.key"));
    refused(default, TableLayout::recommended(), &router("table.field.event.key"), "no such column");
}

#[test]
fn nullable_columns_are_refused_where_null_does_harm() {
    use EventField as F;
    let tenant = Column::foreign(identifier("tenant"), ColumnType::Text, Nullability::Nullable);
    let version = nullable(F::SchemaVersion, "version", ColumnType::Integer);
    let layout = layout(ColumnType::Json, vec![tenant, version]);
    let with = |option: &str, value: &str| {
        ConnectorConfig::recommended(&TableLayout::recommended())
            .with(router("table.fields.additional.placement"), "event_type:header")
            .without(&router("table.field.event.timestamp"))
            .with(router(option), value)
    };

    for (option, value, reason) in [
        ("table.field.event.key", "tenant", "loses the order"),
        ("route.by.field", "tenant", "never NULL"),
        ("table.field.event.schema.version", "version", "never NULL"),
        ("table.fields.additional.placement", "tenant:header", "header with a null value"),
    ] {
        refused(with(option, value), layout.clone(), &router(option), reason);
    }
    assert!(Pipeline::new(with("table.fields.additional.placement", "version:partition"), layout).is_ok());
}

#[test]
fn a_timestamptz_column_is_no_timestamp_for_the_router() {
    let at = not_null(EventField::CreatedAt, "created_at", ColumnType::Timestamptz);
    let layout = layout(ColumnType::Json, vec![at]);
    let key = router("table.field.event.timestamp");
    assert_eq!(of(&layout).get(&key), None, "the recommended configuration knows");
    refused(of(&layout).with(&key, "created_at"), layout, &key, "use timestamp(6) in UTC");
}

#[test]
fn placements_that_debezium_would_fail_at_are_refused() {
    let layout =
        layout(ColumnType::Json, vec![foreign("n", ColumnType::Integer), foreign("flag", ColumnType::Boolean)]);

    let key = router("table.fields.additional.placement");
    for (value, reason) in [
        ("event_type:footer", "fails at every row"),
        ("event_type", "column:placement"),
        ("event_type:header:a:b", "column:placement"),
        ("", "column:placement"),
        ("event_type:header,,n:header", "column:placement"),
        ("nowhere:header", "no such column"),
        ("event_type:envelope:payload", "of this name already"),
        ("event_type:envelope:x,n:envelope:x", "of this name already"),
        ("event_type:partition", "integer column only"),
        ("flag:partition", "integer column only"),
    ] {
        refused(of(&layout).with("value.converter", JSON).with(&key, value), layout.clone(), &key, reason);
    }

    for value in ["event_type:HEADER:type, n : partition ,", "id:header", "n:header,n:envelope,n:partition"] {
        let config = of(&layout).with("value.converter", JSON).with(&key, value);
        assert!(Pipeline::new(config, layout.clone()).is_ok(), "{value}");
    }
}

#[test]
fn headers_of_one_name_are_refused() {
    // A consumer cannot know which is which, least of all with the event's id.
    let key = router("table.fields.additional.placement");
    for value in ["event_type:header:x,aggregate_type:header:x", "event_type:header:id"] {
        refused(recommended().with(&key, value), TableLayout::recommended(), &key, "header of this name already");
    }
}

#[test]
fn a_table_that_cannot_hold_an_event_is_refused() {
    use EventField as F;
    let whole = || TableLayout::recommended().columns().to_vec();
    let make = |columns| TableLayout::new(identifier("s"), identifier("t"), columns);
    assert!(make(whole()).is_ok());

    for field in [F::Id, F::AggregateType, F::AggregateId, F::EventType, F::Payload] {
        let columns = whole().into_iter().filter(|column| column.field() != Some(field)).collect();
        let error = make(columns).unwrap_err();
        assert!(error.is_configuration() && error.broken_rule().unwrap().contains("no column holds"), "{error}");
    }
    for (column, reason) in [
        (foreign("payload", ColumnType::Text), "there twice"),
        (not_null(F::Payload, "other", ColumnType::Text), "holds payload already"),
    ] {
        let error = make([whole(), vec![column.clone()]].concat()).unwrap_err();
        assert_eq!(error.field(), Some(column.name().as_str()));
        assert!(error.broken_rule().unwrap().contains(reason), "{error}");
    }

    let error = TableLayout::recommended().payload_type(ColumnType::Boolean).unwrap_err();
    assert!(error.broken_rule().unwrap().contains("payload cannot be held by boolean"), "{error}");
}

#[test]
fn the_connector_that_ran_is_accepted_and_routes_as_the_recommended_one() {
    let (ran, ours) =
        (Pipeline::new(recommended_connector(), TableLayout::recommended()).unwrap(), Pipeline::recommended());
    let (ran_json, event) = (recommended_connector().to_json(), order().json("{\"a\": 1}").header("tenant", "acme"));
    assert_eq!(Pipeline::from_connector_json(&ran_json).unwrap().config(), ran.config());
    let event = event.content_type("application/json").build().unwrap();
    let row = ours.row(&event).unwrap();
    assert_eq!(ran.row(&event).unwrap(), row);
    let (theirs, ours) = (ran.encode(&row).unwrap(), ours.encode(&row).unwrap());
    assert_eq!((&theirs.topic, theirs.partition, theirs.timestamp), (&ours.topic, ours.partition, ours.timestamp));
    assert_eq!((&theirs.key, &theirs.value), (&ours.key, &ours.value));
    let both = ours.headers.iter().filter(|(name, _)| theirs.headers.iter().any(|(other, _)| other == name));
    assert_eq!(both.count(), 7);

    for header in &theirs.headers {
        assert!(ours.headers.contains(header), "{}", header.0);
    }
}

#[test]
fn the_recommended_connector_of_a_bytea_payload_can_write_its_heartbeats() {
    let config = of(&layout(ColumnType::Bytea, vec![]));
    assert!(config.get("heartbeat.interval.ms").is_some());
    assert_eq!(config.get("value.converter"), Some(BINARY_DATA));
    assert_eq!(config.get("value.converter.delegate.converter.type"), Some(JSON));
    assert_eq!(of(&layout(ColumnType::Json, vec![])).get("value.converter.delegate.converter.type"), None);
}
