use futures_util::FutureExt as _;
use outbox_core::{ConnectorConfig, TableLayout};

use outbox_net::ErrorChain;

use super::placeholders::tests::Fixed;
use super::*;

const ROUTER: &str = "transforms.outbox.";

fn config() -> ConnectorConfig {
    ConnectorConfig::recommended(&TableLayout::recommended())
        .with("database.hostname", "db")
        .with("database.port", "6543")
        .with("database.user", "relay")
        .with("database.password", "${env:SECRET}")
        .with("database.dbname", "shop")
}

fn built(config: ConnectorConfig) -> Result<RelaySettings, SettingsError> {
    RelaySettings::builder(config, ["kafka:9092"]).build_in(&Fixed)
}

#[track_caller]
fn refused(key: &str, value: &str) -> String {
    let error = built(config().with(key, value)).unwrap_err();
    assert_eq!(error.key(), Some(key), "{error}");
    assert_eq!(error.findings().len(), 1, "{error}");
    error.to_string()
}

/// Returns the warning about a key of a configuration that is taken.
#[track_caller]
fn warned(config: ConnectorConfig, key: &str) -> String {
    let settings = built(config).unwrap();
    let warning = settings.warnings().iter().find(|warning| warning.key() == key);
    warning.unwrap_or_else(|| panic!("{key}: {:?}", settings.warnings())).to_string()
}

#[test]
fn the_recommended_connector_is_taken() {
    let settings = built(
        config()
            .with("topic.creation.default.partitions", "6")
            .with("topic.creation.default.replication.factor", "-1")
            .with("topic.creation.default.cleanup.policy", "compact")
            .with("producer.override.compression.type", "zstd"),
    )
    .unwrap();
    let postgres = settings.postgres();
    assert_eq!(
        (postgres.servers(), postgres.user(), postgres.database()),
        (&[("db".to_owned(), 6543)][..], "relay", "shop")
    );

    let password = postgres.password().unwrap().read().now_or_never().unwrap().unwrap();
    assert_eq!(password.expose(), "hunter2-${env:OTHER}");
    assert_eq!(postgres.ssl(), outbox_wal::TlsMode::Prefer);

    let created = settings.topic_creation().unwrap();
    assert_eq!((created.partitions(), created.replication_factor()), (6, -1));
    assert_eq!(created.configs().iter().collect::<Vec<_>>(), [(&"cleanup.policy".to_owned(), &"compact".to_owned())]);
    assert_eq!(settings.compression(), Compression::Zstd);
    assert_eq!(settings.max_request_size(), 1_048_576);
    assert_eq!(settings.brokers(), ["kafka:9092"]);
    assert_eq!((settings.slot().as_str(), settings.publication().as_str()), ("outbox", "outbox"));
    assert_eq!(settings.poison(), &PoisonPolicy::Stop);
    assert!(settings.warnings().is_empty() && settings.context_headers().is_none());
}

#[test]
fn a_configuration_that_is_deployed_is_taken_with_its_placeholders() {
    let json = config().with("slot.name", "${file:/run/db.properties:with:colon}").to_json();
    let settings = RelaySettings::from_connector_json(&json, ["k:1"]).unwrap().build_in(&Fixed).unwrap();
    assert_eq!(settings.slot().as_str(), "x");
    assert!(settings.topic_creation().is_none());
    assert!(RelaySettings::from_connector_json("[]", ["k:1"]).is_err());
}

#[test]
fn no_secret_is_shown() {
    let settings = built(config()).unwrap();
    assert!(!format!("{settings:?} {settings:#?}").contains("hunter2"));
    let builder = RelaySettings::builder(config().with("database.password", "hunter2"), ["k:1"]);
    assert!(!format!("{builder:?}").contains("hunter2"));
    // This also covers misplaced secrets.
    for key in [
        "slot.name",
        "slot.stream.params",
        "database.port",
        "database.sslmode",
        "connector.class",
        "table.include.list",
    ] {
        let error = built(config().with(key, "${env:SECRET}")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(error.key(), Some(key));
    }
}

/// Returns each key of the table, with a part in place of a `*`; and security properties, as a connector has them.
fn every_key() -> Vec<String> {
    let mut keys: Vec<String> = KeyTable::for_router("outbox").keys().map(|key| key.replace('*', "a.b")).collect();
    let properties = [
        "security.protocol",
        "security.providers",
        "sasl.mechanism",
        "sasl.jaas.config",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.login.callback.handler.class",
        "sasl.oauthbearer.client.credentials.client.secret",
        "ssl.truststore.type",
        "ssl.truststore.certificates",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.keystore.type",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "ssl.cipher.suites",
        "ssl.engine.factory.class",
        "outbox.sasl.oauthbearer.token.command",
    ];
    for prefix in ["producer.override.", "admin.override.", "consumer.override."] {
        keys.extend(properties.map(|property| format!("{prefix}{property}")));
    }
    keys
}

#[test]
fn a_secret_in_any_key_is_not_shown() {
    // Names and paths, which logs and metrics show by intent.
    let names = [
        "database.hostname",
        "database.user",
        "database.dbname",
        "slot.name",
        "publication.name",
        "topic.prefix",
        "database.sslrootcert",
        "database.sslcert",
        "database.sslkey",
    ];
    for key in every_key() {
        for secret in ["hunter2", "a hunter2;", "${env:NONE} hunter2", "-----BEGIN CERTIFICATE-----hunter2"] {
            for security in ["PLAINTEXT", "SSL", "SASL_SSL"] {
                let base = config()
                    .with("producer.override.security.protocol", security)
                    .with("producer.override.sasl.mechanism", "PLAIN")
                    .with(
                        "producer.override.sasl.jaas.config",
                        "a.PlainLoginModule required username=\"u\" password=\"hunter2\";",
                    );
                let config = base.with(&*key, secret);
                let builder = RelaySettings::builder(config.clone(), ["kafka:9092"]);
                let mut shown = format!("{builder:?} {builder:#?}");
                match builder.build_in(&Fixed) {
                    Ok(_) if names.contains(&&*key) => {}
                    Ok(settings) => shown.push_str(&format!("{settings:?} {:?}", settings.kafka_security())),
                    Err(error) => shown.push_str(&format!("{} {error:?}", ErrorChain::new(&error))),
                }
                // A path is no secret, and an error that does not name it would be of no use.
                let is_shown = shown.contains("hunter2") && !key.ends_with(".location");
                assert!(!is_shown, "{key} = {secret}: {shown}");
            }
        }
    }
}

#[test]
fn keys_are_honoured_or_without_effect_or_refused() {
    for (key, effect) in [
        ("slot.name", KeySupport::Honoured),
        ("producer.override.compression.type", KeySupport::Honoured),
        ("transforms.outbox.route.by.field", KeySupport::Honoured),
        ("value.converter.schemas.enable", KeySupport::Honoured),
        ("topic.creation.default.retention.ms", KeySupport::Honoured),
        ("heartbeat.action.query", KeySupport::Honoured),
        ("snapshot.fetch.size", KeySupport::Ignored),
        ("value.converter.delegate.converter.type.schemas.enable", KeySupport::Honoured),
        ("column.mask.with.5.chars", KeySupport::Honoured),
        ("table.exclude.list", KeySupport::Honoured),
        ("topic.creation.orders.partitions", KeySupport::Honoured),
        ("topic.creation.default.include", KeySupport::Refused),
        ("producer.override.sasl.jaas.config", KeySupport::Honoured),
        ("admin.override.sasl.jaas.config", KeySupport::Ignored),
        ("predicates.p.type", KeySupport::Honoured),
    ] {
        assert_eq!(RelaySettings::effect_of_key(key, "outbox"), Some(effect), "{key}");
    }
    for key in ["database.server.name", "transforms.other.type", "producer.override.nonsense", "key.convert", ""] {
        assert_eq!(RelaySettings::effect_of_key(key, "outbox"), None, "{key}");
    }
}

#[test]
fn unknown_keys_are_one_warning_without_their_values() {
    let config = config().with("_comment", "hunter2").with("database.server.name", "old");
    let warning = warned(config.clone(), "_comment, database.server.name");
    assert!(!warning.contains("hunter2"), "{warning}");
    let strict = RelaySettings::builder(config, ["k:1"]).strict().build_in(&Fixed).unwrap_err();
    assert_eq!(strict.key(), Some("_comment, database.server.name"));
}

#[test]
fn everything_that_is_rejected_is_reported_at_once() {
    let wrong = config()
        .with("slot.stream.params", "origin=none")
        .with("database.port", "x")
        .without("database.user")
        .without("key.converter")
        .without("topic.prefix")
        .with("column.exclude.list", "outbox.outbox_message.payload")
        .with("value.converter", "io.confluent.connect.avro.AvroConverter")
        .with("value.converter.schema.registry.url", "http://registry")
        .with("slot.name", "No")
        .with(format!("{ROUTER}route.topic.regex"), "(")
        .with("database.password", "${env:NONE}")
        .with("snapshot.mode", "initial");
    let error = built(wrong).unwrap_err();
    let keys: Vec<_> = error.findings().iter().map(Finding::key).collect();
    assert_eq!(
        keys,
        [
            "database.password",
            "slot.stream.params",
            "column.exclude.list",
            "transforms.outbox.route.topic.regex",
            "key.converter",
            "value.converter",
            "topic.prefix",
            "slot.name",
            "database.port",
            "database.user",
        ]
    );
    let shown = error.to_string();
    assert!(shown.contains("slot.stream.params: ") && shown.contains("--worker-config"), "{shown}");
    assert_eq!(error.warnings().iter().map(Finding::key).collect::<Vec<_>>(), ["snapshot.mode"]);
}

#[test]
fn values_that_the_relay_cannot_honour_are_refused_with_the_remedy() {
    for (key, value, remedy) in [
        ("plugin.name", "decoderbufs", "with pgoutput"),
        ("producer.override.compression.type", "rar", "zstd"),
        ("database.sslmode", "required", "prefer"),
        ("database.sslmode", "verify-full", "database.sslrootcert"),
        ("database.sslcert", "/c.pem", "database.sslkey"),
        ("database.port", "65536", "number"),
        ("database.hostname", "", "without it"),
        ("database.user", "${DB_USER}", "${env:NAME}"),
        ("schema.include.list", "public", "leaves out the table"),
        ("schema.exclude.list", "out.*", "leaves out the table"),
        ("table.exclude.list", "other.*", "remove one of the two"),
        ("column.include.list", "outbox\\.outbox_message\\.(id|payload)", "aggregate_id"),
        ("column.exclude.list", "outbox.outbox_message.event_type", "event_type"),
        ("column.truncate.to.20.chars", "other.x,outbox.outbox_message.payload", "changes the column payload"),
        ("schema.name.adjustment.mode", "upper", "one of none"),
        ("transforms.outbox.table.op.invalid.behavior", "stop", "warn, error, fatal"),
        ("slot.stream.params", "origin=none", "remove the key"),
        ("extended.headers.enabled", "yes", "true or false"),
        ("skipped.operations", "c", "none would be published"),
        ("time.precision.mode", "connect", "adaptive"),
        ("time.precision.mode", "structured", "takes a number only"),
        ("time.precision.mode", "sometimes", "one of adaptive"),
        ("heartbeat.interval.ms", "5s", "whole number of milliseconds"),
    ] {
        let shown = refused(key, value);
        assert!(shown.contains(remedy), "{shown}");
    }
}

#[test]
fn what_debezium_would_do_otherwise_is_a_warning() {
    for (key, value, text) in [
        ("snapshot.mode", "initial", "takes no snapshot"),
        ("snapshot.mode", "when_needed", "takes no snapshot"),
        ("slot.drop.on.stop", "true", "keeps the slot"),
        ("errors.tolerance", "all", "--dead-letter-topic"),
        ("exactly.once.support", "required", "without transactions"),
        ("provide.transaction.metadata", "true", "no records of transactions"),
        ("heartbeat.topics.prefix", "beats", "topic.heartbeat.prefix"),
        ("producer.override.acks", "1", "in-sync replicas"),
        ("admin.override.sasl.mechanism", "PLAIN", "--brokers"),
        ("transforms.outbox.table.fields.additional.error.on.missing", "false", "additional.missing"),
    ] {
        let warning = warned(config().with(key, value), key);
        assert!(warning.contains(text), "{warning}");
    }
    let expanding = config()
        .with("value.converter", "org.apache.kafka.connect.json.JsonConverter")
        .with(format!("{ROUTER}table.expand.json.payload"), "true");
    assert!(warned(expanding, "transforms.outbox.table.expand.json.payload").contains("drops null members"));
    for (key, value) in [
        ("snapshot.mode", " NO_DATA "),
        ("publication.autocreate.mode", "filtered"),
        ("topic.creation.enable", "true"),
        ("heartbeat.interval.ms", "0"),
        ("schema.include.list", "OUTBOX"),
        ("schema.exclude.list", "public"),
        ("column.exclude.list", "outbox.outbox_message.internal_.*"),
        ("column.mask.with.5.chars", "public.customers.email"),
        ("column.propagate.source.type", ".*"),
        ("schema.name.adjustment.mode", "avro"),
        ("field.name.adjustment.mode", "avro_unicode"),
        ("value.converter.replace.null.with.default", "false"),
        ("header.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("time.precision.mode", "microseconds"),
        ("binary.handling.mode", "base64"),
        ("value.converter.decimal.format", "NUMERIC"),
    ] {
        assert!(built(config().with(key, value)).unwrap().warnings().is_empty(), "{key}");
    }
}

#[test]
fn an_absent_key_counts_by_its_default() {
    for key in ["snapshot.mode", "plugin.name"] {
        assert!(warned(config().without(key), key).contains("default"));
    }
    for key in ["slot.drop.on.stop", "provide.transaction.metadata", "errors.tolerance", "publication.autocreate.mode"]
    {
        assert!(built(config().without(key)).unwrap().warnings().is_empty());
    }
    let settings = built(config().without("extended.headers.enabled")).unwrap();
    let headers: Vec<_> = settings.context_headers().unwrap().iter().collect();
    assert_eq!(headers[0], ("__debezium.context.connectorLogicalName", &b"outbox"[..]));
    assert!(built(config().without("database.user")).is_err());
    assert!(RelaySettings::builder(config(), [""]).build_in(&Fixed).is_err());
    let half = built(config().with("topic.creation.default.partitions", "1")).unwrap_err();
    assert_eq!(half.key(), Some("topic.creation.default.replication.factor"));
}

#[test]
fn groups_of_topics_are_created_with_settings_of_their_own() {
    let with_groups = config()
        .with("topic.creation.groups", "kept, default")
        .with("topic.creation.default.partitions", "6")
        .with("topic.creation.default.replication.factor", "3")
        .with("topic.creation.default.cleanup.policy", "delete")
        .with("topic.creation.kept.include", "outbox\\.events\\.(order|customer), other")
        .with("topic.creation.kept.exclude", ".*customer")
        .with("topic.creation.kept.partitions", "1")
        .with("topic.creation.kept.cleanup.policy", "compact");
    let settings = built(with_groups.clone()).unwrap();
    let created = |topic: &str| {
        let creation = settings.topic_creation().unwrap().for_topic(topic);
        (creation.partitions(), creation.replication_factor(), creation.configs()["cleanup.policy"].clone())
    };
    assert_eq!(created("outbox.events.order"), (1, 3, "compact".to_owned()));
    for topic in ["outbox.events.customer", "outbox.events.orders", "kept"] {
        assert_eq!(created(topic), (6, 3, "delete".to_owned()), "{topic}");
    }
    let without = built(with_groups.clone().without("topic.creation.kept.include")).unwrap_err();
    assert_eq!(without.key(), Some("topic.creation.groups"));
    for (key, value) in [("partitions", "0"), ("replication.factor", "40000"), ("include", "(")] {
        let key = format!("topic.creation.kept.{key}");
        assert_eq!(built(with_groups.clone().with(&*key, value)).unwrap_err().key(), Some(&*key));
    }
}

#[test]
fn a_predicate_may_restrict_the_router_to_the_outbox_table() {
    let with = |class: &str, pattern: &str, negate: &str| {
        config()
            .with("predicates", "isOutbox")
            .with("predicates.isOutbox.type", format!("org.apache.kafka.connect.transforms.predicates.{class}"))
            .with("predicates.isOutbox.pattern", pattern)
            .with(format!("{ROUTER}predicate"), "isOutbox")
            .with(format!("{ROUTER}negate"), negate)
    };
    for pattern in ["outbox\\.outbox\\.outbox_message", "^outbox.outbox.outbox_message$", ".*message"] {
        assert!(built(with("TopicNameMatches", pattern, "false")).unwrap().warnings().is_empty(), "{pattern}");
        let error = built(with("TopicNameMatches", pattern, "true")).unwrap_err();
        assert!(error.to_string().contains("change events"), "{error}");
    }
    assert!(built(with("RecordIsTombstone", "", "true")).is_ok());
    let header = |name| with("HasHeaderKey", "", "false").with("predicates.isOutbox.name", name);
    assert!(built(header("__debezium.context.taskId")).is_err());
    assert!(built(header("__debezium.context.taskId").without("extended.headers.enabled")).is_ok());
    for (class, pattern) in
        [("TopicNameMatches", "message"), ("TopicNameMatches", "("), ("HasHeaderKey", ""), ("Other", "")]
    {
        assert!(built(with(class, pattern, "false")).is_err(), "{class} {pattern}");
    }
    let unlisted = with("RecordIsTombstone", "", "true").with("predicates", "");
    assert_eq!(built(unlisted).unwrap_err().key(), Some("transforms.outbox.predicate"));
}

#[test]
fn a_value_that_debezium_rejects_is_rejected() {
    for (key, value) in [
        ("snapshot.mode", "never"),
        ("publication.autocreate.mode", "enabled"),
        ("errors.tolerance", "some"),
        ("exactly.once.support", "false"),
    ] {
        let error = built(config().with(key, value)).unwrap_err();
        assert_eq!(error.key(), Some(key));
        assert!(error.to_string().contains("Debezium rejects this value: it is one of"), "{error}");
    }
}

#[test]
fn each_table_may_have_a_router() {
    let topics = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
    let both = config()
        .without("transforms.outbox.table.fields.additional.placement")
        .with("table.include.list", "outbox.outbox_message, public.other")
        .with("transforms", "outbox,second")
        .with(format!("{ROUTER}predicate"), "isMain")
        .with("transforms.second.type", "io.debezium.transforms.outbox.EventRouter")
        .with("transforms.second.predicate", "isMain")
        .with("transforms.second.negate", "true")
        .with("transforms.second.route.topic.replacement", "second.${routedByValue}")
        .with("transforms.second.table.op.invalid.behavior", "fatal")
        .with("skipped.operations", "t")
        .with("predicates", "isMain")
        .with("predicates.isMain.type", topics)
        .with("predicates.isMain.pattern", "outbox\\.outbox\\.outbox_message");
    let settings = built(both.clone()).unwrap();
    assert_eq!(settings.on_update(), OnUpdate::Fatal);
    let name = |schema: &str, table: &str| TableName::from((schema.to_owned(), table.to_owned()));
    assert!(settings.included().uses(&name("public", "other"), "aggregateid"));
    assert!(!settings.included().uses(&name("outbox", "outbox_message"), "aggregateid"));

    let none: [&str; 0] = [];
    let check = RelaySettings::builder(both.clone(), none).check_in(&Fixed);
    let outline: std::collections::BTreeMap<_, _> = check.outline().iter().cloned().collect();
    assert!(outline["topic"].contains("second: second.${routedByValue}, routed by aggregatetype"), "{outline:?}");
    // A mistake in either of them is reported.
    let key = "transforms.second.route.topic.regex";
    assert_eq!(built(both.clone().with(key, "(")).unwrap_err().key(), Some(key));
    let expression = both.with("table.include.list", "(outbox|public)\\..*");
    assert_eq!(built(expression.clone().with(key, "(")).unwrap_err().key(), Some(key));
    assert!(built(expression.clone()).is_ok());
    let moving = "io.debezium.transforms.partitions.PartitionRouting";
    let first = expression.with("transforms", "moving,outbox,second").with("transforms.moving.type", moving);
    assert_eq!(built(first).unwrap_err().key(), Some("transforms.moving.type"));
}

#[test]
fn the_connector_s_headers_are_those_that_are_kept_and_in_the_converter_s_form() {
    let config = config()
        .without("extended.headers.enabled")
        .with("transforms", "outbox,drop")
        .with("transforms.drop.type", "org.apache.kafka.connect.transforms.DropHeaders")
        .with("transforms.drop.headers", "__debezium.context.runId, event_type")
        .with("header.converter", "org.apache.kafka.connect.json.JsonConverter")
        .with("header.converter.schemas.enable", "false");
    let settings = built(config).unwrap();
    let headers: Vec<_> = settings.context_headers().unwrap().iter().collect();
    assert_eq!(headers.len(), 3);
    assert_eq!(headers[2], ("__debezium.context.connectorName", &b"\"postgresql\""[..]));
}

#[test]
fn a_check_needs_neither_servers_nor_secrets() {
    let config = config().with("table.include.list", "public\\.orders_outbox").with("database.password", "${env:NONE}");
    let none: [&str; 0] = [];
    let check = RelaySettings::builder(config, none).check_in(&Fixed);
    assert!(check.is_accepted(), "{:?}", check.rejected());
    assert_eq!(check.warnings().iter().map(Finding::key).collect::<Vec<_>>(), ["database.password"]);
    let outline: std::collections::BTreeMap<_, _> = check.outline().iter().cloned().collect();
    assert!(outline["table"].starts_with("public\\.orders_outbox, "), "{outline:?}");
    assert_eq!(outline["topic"], "outbox.events.${routedByValue}, routed by aggregate_type");
    assert_eq!(outline["key"], "aggregate_id, StringConverter");
    for list in ["(shop|store)\\.outbox", "public.outbox[0-9]{1\\,2}", "public.a, public.b"] {
        let config = self::config().with("table.include.list", list);
        let check = RelaySettings::builder(config, none).check_in(&Fixed);
        assert!(check.is_accepted(), "{list}: {:?}", check.rejected());
    }
}

#[test]
fn several_servers_may_be_listed() {
    for (list, expected) in [
        ("a,b", vec![("a", 6543), ("b", 6543)]),
        (" a:1 , b", vec![("a", 1), ("b", 6543)]),
        ("::1,[::2],[::3]:4", vec![("::1", 6543), ("::2", 6543), ("::3", 4)]),
        ("/run/postgresql", vec![("/run/postgresql", 6543)]),
    ] {
        let settings = built(config().with("database.hostname", list)).unwrap();
        let found: Vec<_> = settings.postgres().servers().iter().map(|(host, port)| (&**host, *port)).collect();
        assert_eq!(found, expected, "{list}");
    }
    for wrong in ["a,,b", "a:x", ","] {
        assert_eq!(built(config().with("database.hostname", wrong)).unwrap_err().key(), Some("database.hostname"));
    }
    for key in ["database.target_session_attrs", "database.targetServerType", "driver.targetServerType"] {
        assert!(built(config().with(key, "primary")).unwrap().warnings().is_empty());
        assert!(built(config().with(key, "secondary")).unwrap_err().to_string().contains("read-write"));
    }
}
