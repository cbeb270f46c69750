//! Debezium's PostgreSQL connector: the database, and what is read of it.

use super::demand::Demand;
use super::rule::{Rule, honoured, noted, only, refused, without_effect};

const NO_SIGNALS: &str = "the relay takes no signals";
const NO_JAVA: &str = "the relay runs no Java";

pub(super) const RULES: &[Rule] = &[
    // Names.
    honoured("topic.prefix").demands(&[Demand::Present { reason: "Debezium refuses a connector without it" }]),
    honoured("topic.naming.strategy"),
    honoured("topic.delimiter"),
    without_effect("topic.cache.size"),
    honoured("topic.heartbeat.prefix"),
    honoured("topic.heartbeat.name"),
    without_effect("topic.transaction"),
    without_effect("sourceinfo.struct.maker"),
    // The connection.
    honoured("database.hostname"),
    honoured("database.port"),
    honoured("database.target_session_attrs"),
    honoured("database.targetServerType"),
    honoured("driver.targetServerType"),
    honoured("database.user"),
    honoured("database.password"),
    honoured("database.dbname"),
    without_effect("database.tcpKeepAlive"),
    noted(
        "database.sslmode",
        "prefer",
        &["disable", "prefer", "require", "verify-ca", "verify-full"],
        "the relay tries an encrypted connection first, and then one without encryption",
    )
    .with_effect()
    .among(&["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]),
    honoured("database.sslrootcert"),
    honoured("database.sslcert"),
    honoured("database.sslkey"),
    refused("database.sslpassword", "the relay reads a key that is not encrypted")
        .remedy("decrypt the key, and name its file in database.sslkey"),
    only(
        "database.sslfactory",
        "",
        &["", "org.postgresql.ssl.LibPQFactory", "org.postgresql.ssl.NonValidatingFactory"],
        NO_JAVA,
    ),
    noted("database.initial.statements", "", &[""], "the relay does not run these statements"),
    without_effect("database.query.timeout.ms"),
    without_effect("database.include.list"),
    without_effect("database.exclude.list"),
    without_effect("connection.validation.timeout.ms"),
    // The selection of tables and columns.
    honoured("table.include.list"),
    honoured("table.exclude.list"),
    without_effect("table.ignore.builtin"),
    honoured("schema.include.list"),
    honoured("schema.exclude.list"),
    honoured("column.*").demands(&[Demand::Absent {
        reason: "it changes what the connector sees of the table, and is not modelled",
    }]),
    honoured("datatype.propagate.source.type"),
    without_effect("message.key.columns"),
    honoured("message.prefix.include.list"),
    honoured("message.prefix.exclude.list"),
    without_effect("skip.messages.without.change").boolean(),
    honoured("skipped.operations").demands(&[Demand::NoneOf {
        items: &["c"],
        reason: "c is the INSERT of an event: none would be published",
    }]),
    without_effect("tombstones.on.delete").boolean(),
    without_effect("unavailable.value.placeholder"),
    without_effect("include.unknown.datatypes").boolean(),
    without_effect("schema.refresh.mode").among(&["columns_diff", "columns_diff_exclude_unchanged_toast"]),
    // How values are reported.
    honoured("binary.handling.mode"),
    honoured("time.precision.mode"),
    honoured("decimal.handling.mode"),
    without_effect("hstore.handling.mode").among(&["json", "map"]),
    without_effect("interval.handling.mode").among(&["numeric", "string"]),
    honoured("schema.name.adjustment.mode"),
    honoured("field.name.adjustment.mode"),
    honoured("include.schema.comments").boolean(),
    without_effect("event.converting.failure.handling.mode").among(&["fail", "warn", "skip"]),
    noted(
        "event.processing.failure.handling.mode",
        "fail",
        &["fail"],
        "a row that cannot be read is not skipped: it stops the relay, or goes to the topic of --dead-letter-topic",
    )
    .among(&["fail", "warn", "skip", "ignore"])
    .demands(&[Demand::OneOf { default: "fail", values: &["fail"], reason: "an event that fails is dropped" }]),
    only("converters", "", &[""], NO_JAVA),
    only("post.processors", "", &[""], NO_JAVA),
    // Records that are no events.
    honoured("extended.headers.enabled"),
    noted("provide.transaction.metadata", "false", &["false"], "the relay writes no records of transactions")
        .boolean(),
    without_effect("transaction.metadata.factory"),
    honoured("heartbeat.interval.ms"),
    honoured("heartbeat.action.query"),
    noted(
        "heartbeat.topics.prefix",
        "",
        &["", "__debezium-heartbeat"],
        "Debezium ignores it since 2.0, and so does the relay: topic.heartbeat.prefix has taken its place",
    ),
    // Snapshots and signals.
    noted(
        "snapshot.mode",
        "initial",
        &["no_data"],
        "the relay takes no snapshot: it continues from the slot, and does not send rows from before the slot's creation",
    )
    .among(&["always", "initial", "initial_only", "no_data", "when_needed", "configuration_based", "custom"]),
    without_effect("snapshot.isolation.mode")
        .among(&["serializable", "repeatable_read", "read_committed", "read_uncommitted"]),
    without_effect("snapshot.locking.mode").among(&["shared", "none", "custom"]),
    without_effect("snapshot.query.mode").among(&["select_all", "custom"]),
    without_effect("snapshot.fetch.size").at_least(0),
    without_effect("snapshot.*"),
    without_effect("incremental.snapshot.*"),
    without_effect("legacy.snapshot.max.threads"),
    without_effect("streaming.delay.ms"),
    without_effect("query.fetch.size"),
    without_effect("read.only"),
    noted("signal.data.collection", "", &[""], NO_SIGNALS),
    noted("signal.enabled.channels", "source", &["source", ""], NO_SIGNALS),
    without_effect("signal.*"),
    noted("notification.enabled.channels", "", &[""], "the relay sends no notifications"),
    without_effect("notification.*"),
    // Tuning and monitoring of Debezium's process.
    without_effect("max.batch.size").at_least(1),
    without_effect("max.queue.size").at_least(1),
    without_effect("max.queue.size.in.bytes"),
    without_effect("poll.interval.ms").at_least(1),
    without_effect("errors.max.retries"),
    without_effect("retriable.restart.connector.wait.ms").at_least(1),
    without_effect("executor.shutdown.timeout.ms"),
    without_effect("memory.management.schemas.class"),
    without_effect("memory.management.tables.class"),
    without_effect("guardrail.collections.max"),
    without_effect("guardrail.collections.limit.action").among(&["warn", "fail"]),
    without_effect("custom.metric.tags"),
    without_effect("custom.sanitize.pattern"),
    without_effect("statistics.metrics.enabled"),
    noted("openlineage.integration.enabled", "false", &["false"], "the relay reports no lineage"),
    without_effect("openlineage.integration.*"),
    without_effect("internal.advanced.metrics.enable"),
    without_effect("internal.legacy.snapshot.max.threads"),
    without_effect("internal.log.position.check.enable"),
    without_effect("internal.offset.activity.monitor.interval.ms"),
    without_effect("internal.signal.processor.semaphore.wait.ms"),
    without_effect("internal.signal.synchronous.batch.size"),
    without_effect("internal.snapshot.scan.all.columns.force"),
];
