//! The EventRouter's options: `ROUTER` stands for `transforms.<its name>.`.

use crate::settings::rule::{Rule, honoured, only, refused, without_effect};

pub(super) const RULES: &[Rule] = &[
    honoured("type"),
    without_effect("plugin.version"),
    only("predicate", "", &[""], "the relay reads the outbox table alone, so there is nothing to choose: leave it out"),
    only(
        "negate",
        "false",
        &["false"],
        "the relay reads the outbox table alone, so there is nothing to choose: leave it out",
    ),
    honoured("table.field.event.id"),
    honoured("table.field.event.key"),
    // Debezium reads it nowhere.
    without_effect("table.field.event.type"),
    honoured("table.field.event.payload"),
    honoured("table.field.event.timestamp"),
    honoured("table.field.event.schema.version"),
    honoured("table.fields.additional.placement"),
    honoured("table.field.additional.missing"),
    refused(
        "table.fields.additional.error.on.missing",
        "Debezium ignores it since 3.6: use table.field.additional.missing",
    ),
    only(
        "table.op.invalid.behavior",
        "warn",
        &["warn", "error"],
        "the relay looks at INSERTs only and stops at no UPDATE: leave it out",
    ),
    honoured("table.expand.json.payload"),
    honoured("table.json.payload.null.behavior"),
    honoured("table.json.payload.empty.array.behavior"),
    honoured("route.by.field"),
    honoured("route.topic.regex"),
    honoured("route.topic.replacement"),
    honoured("route.tombstone.on.empty.payload"),
    // They say something only where OpenTelemetry is on Connect's class path.
    without_effect("tracing.span.context.field"),
    without_effect("tracing.operation.name"),
    without_effect("tracing.with.context.field.only"),
    only(
        "field.name.adjustment.mode",
        "none",
        &["none"],
        "renamed members of a payload lose their values: leave it out",
    ),
];
