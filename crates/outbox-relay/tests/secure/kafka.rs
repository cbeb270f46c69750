use outbox_relay::{KafkaSecurity, Pem, Relay, RelaySettings, Sasl, Tls};
use xtask::stack::{KafkaCluster, ListenerSecurity, Stack};

use crate::certificates::{Authority, Signed};
use crate::said::Said;
use crate::secure_postgres::{Running, SecurePostgres, chain};

const USER: &str = "relay";
const PASSWORD: &str = "hunter2-of-kafka";

/// A broker with a listener for each way, all with a certificate of the authority for `localhost`.
fn kafka(authority: &Authority) -> KafkaCluster {
    let Signed { certificate, key } = authority.sign("localhost");
    let kafka = Stack::connect().unwrap().kafka_cluster().unwrap().brokers(1);
    kafka
        .listener("SSL", ListenerSecurity::Ssl)
        .listener("MUTUAL", ListenerSecurity::MutualSsl)
        .listener("LOGIN", ListenerSecurity::SaslSsl)
        .certificate(key + &certificate, authority.certificate())
        .user(USER, PASSWORD)
        .start()
        .unwrap()
}

#[tokio::test]
async fn a_kafka_that_demands_tls_and_a_login_is_written_to_and_what_is_wrong_is_said() {
    let said = Said::listen();
    let authority = Authority::new("the right authority");
    let kafka = kafka(&authority);
    let mut postgres = SecurePostgres::start().await;
    let ca = authority.certificate();
    let own = authority.sign("relay");
    let trusting = |ca: &str| Tls::new().roots(Pem::text(ca.as_bytes()));
    let tls = || KafkaSecurity::new().tls(trusting(&ca));
    let identity = trusting(&ca).identity(Pem::text(own.certificate.as_bytes()), Pem::text(own.key.as_bytes()));
    let mutual = KafkaSecurity::new().tls(identity);
    for (listener, security) in [
        ("SSL", tls()),
        ("MUTUAL", mutual),
        ("LOGIN", tls().sasl(Sasl::plain(USER, PASSWORD))),
        ("LOGIN", tls().sasl(Sasl::scram_sha_256(USER, PASSWORD))),
        ("LOGIN", tls().sasl(Sasl::scram_sha_512(USER, PASSWORD))),
    ] {
        let way = format!("{listener} {security:?}");
        let relay = postgres.relay(postgres.config.clone(), &kafka.address(1, listener).unwrap(), security).unwrap();
        said.note(&relay);
        let relay = Running::start(relay);
        postgres.enqueue().await;
        relay.written(1).await;
        relay.stop().await;
        said.note(&way);
    }

    // As a connector has it.
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    let connector = postgres
        .config
        .clone()
        .with("producer.override.security.protocol", "SASL_SSL")
        .with("producer.override.sasl.mechanism", "SCRAM-SHA-512")
        .with("producer.override.sasl.jaas.config", format!("{jaas} username=\"{USER}\" password=\"{PASSWORD}\";"))
        .with("producer.override.ssl.truststore.type", "PEM")
        .with("producer.override.ssl.truststore.certificates", ca.as_str());
    let settings = RelaySettings::builder(connector, [kafka.address(1, "LOGIN").unwrap()]).build().unwrap();
    let relay = Relay::new(settings).unwrap();
    said.note(&relay);
    let relay = Running::start(relay);
    postgres.enqueue().await;
    relay.written(1).await;
    said.note(&relay.status.prometheus_text());
    relay.stop().await;

    let wrong = "hunter3-is-wrong";
    let other = KafkaSecurity::new().tls(trusting(&Authority::new("another authority").certificate()));
    for (listener, security, reason) in [
        ("SSL", other, "name the file of the authority"),
        ("LOGIN", tls().sasl(Sasl::plain(USER, wrong)), "SASL_AUTHENTICATION_FAILED"),
        ("LOGIN", tls().sasl(Sasl::scram_sha_256(USER, wrong)), "SASL_AUTHENTICATION_FAILED"),
        ("LOGIN", tls().sasl(Sasl::scram_sha_512("nobody", PASSWORD)), "SASL_AUTHENTICATION_FAILED"),
    ] {
        let relay = postgres.relay(postgres.config.clone(), &kafka.address(1, listener).unwrap(), security).unwrap();
        said.note(&relay);
        let relay = Running::start(relay);
        postgres.enqueue().await;
        let error = relay.outcome().await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains(reason), "{listener}: {text}");
        said.note(&error);
        said.note(&text);
    }
    said.without(&[PASSWORD, wrong, crate::secure_postgres::PASSWORD, own.key.lines().nth(1).unwrap()]);
}
