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
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error} {}", source.unwrap_or_default())
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
    assert_eq!((postgres.host(), postgres.port(), postgres.user(), postgres.database()), ("db", 6543, "relay", "shop"));
    let password = postgres.password().unwrap().read().now_or_never().unwrap().unwrap();
    assert_eq!(password.expose(), "hunter2-${env:OTHER}");
    assert_eq!(postgres.ssl(), SslMode::Prefer);
    let created = settings.topic_creation().unwrap();
    assert_eq!((created.partitions(), created.replication_factor()), (6, -1));
    assert_eq!(created.configs().iter().collect::<Vec<_>>(), [(&"cleanup.policy".to_owned(), &"compact".to_owned())]);
    assert_eq!(settings.compression(), CompressionType::Zstd);
    assert_eq!(settings.max_request_size(), 1_048_576);
    assert_eq!(settings.brokers(), ["kafka:9092"]);
    assert_eq!((settings.slot().as_str(), settings.publication().as_str()), ("outbox", "outbox"));
    assert_eq!(settings.poison(), &PoisonPolicy::Stop);
}

#[test]
fn a_configuration_that_is_deployed_is_taken_with_its_placeholders() {
    let json = config().with("slot.name", "${file:/run/db.properties:with:colon}").to_json();
    let settings = RelaySettings::from_connector_json(&json, ["k:1"]).unwrap().build_in(&Fixed).unwrap();
    assert_eq!(settings.slot().as_str(), "x");
    assert_eq!(settings.topic_creation(), None);
    assert!(RelaySettings::from_connector_json("[]", ["k:1"]).is_err());
}

#[test]
fn no_secret_is_shown() {
    let settings = built(config()).unwrap();
    assert!(!format!("{settings:?} {settings:#?}").contains("hunter2"));
    let builder = RelaySettings::builder(config().with("database.password", "hunter2"), ["k:1"]);
    assert!(!format!("{builder:?}").contains("hunter2"));
    // Also where a secret has come to the wrong place.
    for key in
        ["slot.name", "snapshot.mode", "database.port", "database.sslmode", "connector.class", "table.include.list"]
    {
        let error = built(config().with(key, "${env:SECRET}")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(error.key(), Some(key));
    }
}

/// Each key of the table, with a part in the place of a `*`; and security properties, as a connector has them.
fn every_key() -> Vec<String> {
    let mut keys: Vec<String> = Keys::of("outbox").all().map(|key| key.replace('*', "a.b")).collect();
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
        ("slot.name", KeyEffect::Honoured),
        ("producer.override.compression.type", KeyEffect::Honoured),
        ("transforms.outbox.route.by.field", KeyEffect::Honoured),
        ("value.converter.schemas.enable", KeyEffect::Honoured),
        ("topic.creation.default.retention.ms", KeyEffect::Honoured),
        ("heartbeat.action.query", KeyEffect::WithoutEffect),
        ("snapshot.fetch.size", KeyEffect::WithoutEffect),
        ("value.converter.delegate.converter.type.schemas.enable", KeyEffect::WithoutEffect),
        ("column.mask.with.5.chars", KeyEffect::Refused),
        ("topic.creation.orders.partitions", KeyEffect::Refused),
        ("producer.override.sasl.jaas.config", KeyEffect::Honoured),
        ("admin.override.sasl.jaas.config", KeyEffect::Refused),
        ("predicates.p.type", KeyEffect::Refused),
    ] {
        assert_eq!(RelaySettings::effect_of_key(key, "outbox"), Some(effect), "{key}");
    }
    for key in ["database.server.name", "transforms.other.type", "producer.override.nonsense", "key.convert", ""] {
        assert_eq!(RelaySettings::effect_of_key(key, "outbox"), None, "{key}");
    }
}

#[test]
fn an_unknown_key_has_to_be_accepted_by_its_name() {
    let config = config().with("database.server.name", "old");
    let error = built(config.clone()).unwrap_err();
    assert!(error.is_unknown_key() && error.key() == Some("database.server.name"), "{error}");
    let builder = RelaySettings::builder(config, ["k:1"]).accept_unknown_key("database.server.name");
    assert!(builder.build_in(&Fixed).is_ok());
    let builder = RelaySettings::builder(self::config().with("snapshot.mode", "initial"), ["k:1"]);
    assert!(builder.accept_unknown_key("snapshot.mode").build_in(&Fixed).is_err(), "a refused key is not unknown");
}

#[test]
fn values_that_the_relay_cannot_honour_are_refused_with_the_remedy() {
    for (key, value, remedy) in [
        ("snapshot.mode", "initial", "no_data"),
        ("extended.headers.enabled", "true", "false"),
        ("provide.transaction.metadata", "true", "leave it out"),
        ("plugin.name", "decoderbufs", "pgoutput"),
        ("slot.drop.on.stop", "true", "leave it out"),
        ("publication.autocreate.mode", "filtered", "disabled"),
        ("errors.tolerance", "all", "leave it out"),
        ("producer.override.acks", "1", "leave it out"),
        ("admin.override.sasl.mechanism", "PLAIN", "leave it out"),
        ("producer.override.compression.type", "rar", "zstd"),
        ("topic.creation.groups", "compacted", "topic.creation.default"),
        ("database.sslmode", "allow", "prefer"),
        ("database.sslmode", "verify-full", "database.sslrootcert"),
        ("database.sslcert", "/c.pem", "database.sslkey"),
        ("database.port", "65536", "number"),
        ("database.hostname", "", "without it"),
        ("schema.include.list", "public", "leave it out"),
        ("lsn.flush.mode", "manual", "leave it out"),
        ("exactly.once.support", "required", "leave it out"),
    ] {
        let shown = refused(key, value);
        assert!(shown.contains(remedy), "{shown}");
    }
    for key in ["predicate", "negate", "table.op.invalid.behavior"] {
        refused(&format!("{ROUTER}{key}"), "fatal");
    }
    for taken in ["no_data", " NO_DATA "] {
        assert!(built(config().with("snapshot.mode", taken)).is_ok());
    }
}

#[test]
fn an_absent_key_counts_by_its_default() {
    for key in ["snapshot.mode", "extended.headers.enabled", "publication.autocreate.mode"] {
        let error = built(config().without(key)).unwrap_err();
        assert!(error.key() == Some(key) && error.to_string().contains("default"), "{error}");
    }
    for key in ["slot.drop.on.stop", "provide.transaction.metadata", "errors.tolerance"] {
        assert!(built(config().without(key)).is_ok());
    }
    assert!(built(config().without("database.user")).is_err());
    assert!(RelaySettings::builder(config(), [""]).build_in(&Fixed).is_err());
    let half = built(config().with("topic.creation.default.partitions", "1")).unwrap_err();
    assert_eq!(half.key(), Some("topic.creation.default.replication.factor"));
}
