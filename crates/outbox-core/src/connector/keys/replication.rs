//! Debezium's PostgreSQL connector: slot and publication.

use super::demand::Demand;
use super::rule::{Rule, honoured, noted, only, without_effect};

const CONFIRMS: &str = "the relay confirms what it has written, or the server would keep all WAL";

pub(super) const RULES: &[Rule] = &[
    noted(
        "plugin.name",
        "decoderbufs",
        &["pgoutput"],
        "the relay reads with pgoutput: the slot must have been created with it",
    )
    .demands(&[Demand::OneOf {
        default: "decoderbufs",
        values: &["pgoutput"],
        reason: "pgoutput is the plugin that every PostgreSQL has, and has to be named",
    }]),
    honoured("slot.name"),
    honoured("publication.name"),
    // The option --create decides.
    without_effect("publication.autocreate.mode").among(&["all_tables", "disabled", "filtered", "no_tables"]),
    without_effect("publish.via.partition.root").boolean(),
    noted("replica.identity.autoset.values", "", &[""], "the relay changes no table"),
    noted(
        "slot.drop.on.stop",
        "false",
        &["false"],
        "the relay keeps the slot: events between its end and its next start would be lost",
    )
    .boolean(),
    // Options of a slot that the relay creates.
    honoured("slot.failover").boolean(),
    only("slot.stream.params", "", &[""], "the relay passes nothing on to the plugin"),
    without_effect("slot.max.retries").number(),
    without_effect("slot.retry.delay.ms").number(),
    without_effect("status.update.interval.ms").at_least(1),
    without_effect("xmin.fetch.interval.ms").at_least(0),
    // The relay confirms the rows that the broker has acknowledged.
    noted("lsn.flush.mode", "connector", &["connector", "connector_and_driver"], CONFIRMS).among(&[
        "connector",
        "connector_and_driver",
        "manual",
    ]),
    noted("flush.lsn.source", "true", &["true"], CONFIRMS).boolean(),
    without_effect("lsn.flush.timeout.ms").at_least(1),
    without_effect("lsn.flush.timeout.action").among(&["fail", "warn", "ignore"]),
    // The relay relies on the slot itself.
    without_effect("offset.mismatch.strategy"),
    without_effect("internal.slot.seek.to.known.offset.on.start"),
];
