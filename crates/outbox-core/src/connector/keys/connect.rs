//! Kafka Connect's own keys of a source connector, and those of the producer that it makes.

use super::demand::Demand;
use super::rule::{Rule, honoured, noted, only, refused, without_effect};

const TO_KAFKA: &str =
    "it is not read: --brokers names the brokers, and producer.override.* secures every connection to them";
const NOT_BY_TRANSACTIONS: &str = "the relay writes each record once, but not by transactions";

pub(super) const RULES: &[Rule] = &[
    without_effect("name"),
    honoured("connector.class").demands(&[
        Demand::NoneOf {
            items: &["PostgresConnector", "Postgres"],
            reason: "Debezium's task fails at the short name: write io.debezium.connector.postgresql.PostgresConnector",
        },
        Demand::OneOf {
            default: "",
            values: &["io.debezium.connector.postgresql.PostgresConnector"],
            reason: "an outbox pipeline reads PostgreSQL",
        },
    ]),
    without_effect("connector.plugin.version"),
    without_effect("tasks.max").at_least(1),
    without_effect("tasks.max.enforce").boolean(),
    without_effect("config.action.reload").among(&["none", "restart"]),
    honoured("transforms"),
    honoured("predicates"),
    honoured("predicates.*"),
    honoured("header.converter"),
    honoured("header.converter.*"),
    // Failures.
    noted(
        "errors.tolerance",
        "none",
        &["none"],
        "a row that cannot become a record is not skipped: it stops the relay, or goes to the topic of --dead-letter-topic",
    )
    .among(&["none", "all"])
    .demands(&[Demand::OneOf {
        default: "none",
        values: &["none"],
        reason: "an event that fails is dropped without a trace",
    }]),
    without_effect("errors.retry.timeout").number(),
    without_effect("errors.retry.delay.max.ms").number(),
    without_effect("errors.log.enable").boolean(),
    without_effect("errors.log.include.messages").boolean(),
    // In Connect, the key is for sinks only.
    without_effect("errors.deadletterqueue.*"),
    // The relay writes each record once by other means.
    noted(
        "exactly.once.support",
        "requested",
        &["requested"],
        "the relay writes each event once without transactions; docs/relay.md lists the failures after which one is repeated",
    )
    .among(&["required", "requested"]),
    without_effect("transaction.boundary").among(&["poll", "connector", "interval"]),
    without_effect("transaction.boundary.interval.ms").at_least(0),
    without_effect("offsets.storage.topic"),
    // Missing topics. This is a key of the worker; the relay creates topics in any case.
    without_effect("topic.creation.enable"),
    refused("topic.creation.default.include", "the default is for every topic"),
    refused("topic.creation.default.exclude", "the default is for every topic"),
    honoured("topic.creation.*"),
    // The producer.
    noted(
        "producer.override.acks",
        "all",
        &["all", "-1"],
        "the relay waits for all in-sync replicas: an event that one broker alone has can be lost",
    ),
    honoured("producer.override.compression.type"),
    honoured("producer.override.max.request.size"),
    without_effect("producer.override.batch.size").at_least(0),
    without_effect("producer.override.buffer.memory").at_least(0),
    without_effect("producer.override.client.dns.lookup"),
    without_effect("producer.override.client.id"),
    without_effect("producer.override.compression.gzip.level"),
    without_effect("producer.override.compression.lz4.level"),
    without_effect("producer.override.compression.zstd.level"),
    without_effect("producer.override.connections.max.idle.ms"),
    without_effect("producer.override.delivery.timeout.ms").at_least(0),
    noted(
        "producer.override.enable.idempotence",
        "true",
        &["true"],
        "the relay is always idempotent: a batch that is sent again would be written twice",
    ),
    without_effect("producer.override.enable.metrics.push"),
    only("producer.override.interceptor.classes", "", &[""], "the relay runs no Java"),
    without_effect("producer.override.linger.ms").at_least(0),
    without_effect("producer.override.max.block.ms").at_least(0),
    without_effect("producer.override.max.in.flight.requests.per.connection").at_least(1),
    honoured("producer.override.metadata.max.age.ms"),
    without_effect("producer.override.metadata.*"),
    without_effect("producer.override.metric.*"),
    without_effect("producer.override.metrics.*"),
    only("producer.override.partitioner.class", "", &[""], "partitions are those of Kafka's default"),
    without_effect("producer.override.partitioner.adaptive.partitioning.enable"),
    without_effect("producer.override.partitioner.availability.timeout.ms"),
    only(
        "producer.override.partitioner.ignore.keys",
        "false",
        &["false"],
        "events of one aggregate would lose their order",
    ),
    without_effect("producer.override.receive.buffer.bytes"),
    without_effect("producer.override.reconnect.*"),
    without_effect("producer.override.request.timeout.ms").at_least(0),
    without_effect("producer.override.retries").at_least(0),
    without_effect("producer.override.retry.*"),
    without_effect("producer.override.send.buffer.bytes"),
    without_effect("producer.override.socket.*"),
    noted("producer.override.bootstrap.servers", "", &[""], TO_KAFKA),
    honoured("producer.override.security.*"),
    honoured("producer.override.sasl.*"),
    honoured("producer.override.ssl.*"),
    honoured("producer.override.outbox.sasl.*"),
    without_effect("producer.override.transaction.timeout.ms"),
    refused("producer.override.transaction*", NOT_BY_TRANSACTIONS),
    noted("admin.override.*", "", &[""], TO_KAFKA),
    without_effect("consumer.override.*"),
];
