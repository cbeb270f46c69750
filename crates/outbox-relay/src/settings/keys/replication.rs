//! Debezium's PostgreSQL connector: slot and publication.

use crate::settings::rule::{Rule, honoured, only, without_effect};

pub(super) const RULES: &[Rule] = &[
    honoured("plugin.name"),
    honoured("slot.name"),
    honoured("publication.name"),
    only(
        "publication.autocreate.mode",
        "all_tables",
        &["disabled"],
        "the relay creates and changes no publication in silence: create it, and set this to disabled",
    ),
    without_effect("publish.via.partition.root"),
    only("replica.identity.autoset.values", "", &[""], "the relay changes no table: leave it out"),
    only(
        "slot.drop.on.stop",
        "false",
        &["false"],
        "events between the relay's end and its next start would be lost: leave it out",
    ),
    without_effect("slot.failover"),
    only("slot.stream.params", "", &[""], "the relay passes nothing on to the plugin: leave it out"),
    without_effect("slot.max.retries"),
    without_effect("slot.retry.delay.ms"),
    without_effect("status.update.interval.ms"),
    without_effect("xmin.fetch.interval.ms"),
    // The relay confirms what the broker has acknowledged.
    only(
        "lsn.flush.mode",
        "connector",
        &["connector", "connector_and_driver"],
        "the relay confirms what it has written, or the WAL would grow for ever: leave it out",
    ),
    only(
        "flush.lsn.source",
        "true",
        &["true"],
        "the relay confirms what it has written, or the WAL would grow for ever: leave it out",
    ),
    without_effect("lsn.flush.timeout.ms"),
    without_effect("lsn.flush.timeout.action"),
    // The slot itself is what the relay goes by.
    without_effect("offset.mismatch.strategy"),
    without_effect("internal.slot.seek.to.known.offset.on.start"),
];
