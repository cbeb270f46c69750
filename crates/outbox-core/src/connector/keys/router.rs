//! The EventRouter's options: `ROUTER` stands for `transforms.<its name>.`.

use super::rule::{Rule, honoured, noted, without_effect};

pub(super) const RULES: &[Rule] = &[
    honoured("type"),
    without_effect("plugin.version"),
    honoured("predicate"),
    honoured("negate").boolean(),
    honoured("table.field.event.id"),
    honoured("table.field.event.key"),
    // Debezium reads it nowhere.
    without_effect("table.field.event.type"),
    honoured("table.field.event.payload"),
    honoured("table.field.event.timestamp"),
    honoured("table.field.event.schema.version"),
    honoured("table.fields.additional.placement"),
    honoured("table.field.additional.missing"),
    noted(
        "table.fields.additional.error.on.missing",
        "",
        &[""],
        "Debezium ignores it since 3.6, and so does the relay: table.field.additional.missing has taken its place",
    ),
    honoured("table.op.invalid.behavior"),
    noted(
        "table.expand.json.payload",
        "false",
        &["false"],
        "expansion drops null members and empty arrays and rewrites numbers; a payload that cannot be expanded is written \
         as it is stored",
    )
    .boolean()
    .with_effect(),
    honoured("table.json.payload.null.behavior"),
    honoured("table.json.payload.empty.array.behavior"),
    honoured("route.by.field"),
    honoured("route.topic.regex"),
    honoured("route.topic.replacement"),
    honoured("route.tombstone.on.empty.payload").boolean(),
    // They take effect only if OpenTelemetry is on Connect's class path.
    without_effect("tracing.span.context.field"),
    without_effect("tracing.operation.name"),
    without_effect("tracing.with.context.field.only").boolean(),
    honoured("field.name.adjustment.mode").among(&["none", "avro", "avro_unicode"]),
];
