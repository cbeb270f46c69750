//! The consumer on a real Kafka that requires TLS, client certificates and logins, with both readers.

use std::time::Duration;

use outbox_kafka_consumer::outbox_kafka::{Pem, Sasl, SecretSource, Security, Tls, Token, TokenSource};
use outbox_kafka_consumer::{Consumer, Reader};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use xtask::stack::{ListenerSecurity, Stack, unsecured_token};

use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, LONG_LEASE, Running, patient};
use crate::positions::store;

const USER: &str = "consumer";
const PASSWORD: &str = "hunter2-of-kafka";
const WRONG: &str = "hunter3-is-wrong";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns a certificate and its key, in PEM.
    fn sign(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn tls(&self) -> Tls {
        Tls::new().roots(Pem::text(self.0.pem().as_bytes()))
    }
}

fn bearer(lifetime: Duration) -> TokenSource {
    TokenSource::callback(move || async move { Ok(Token::new(unsecured_token(USER, lifetime))) })
}

#[tokio::test]
async fn each_kind_of_security_is_read_with_both_readers_and_what_is_wrong_is_reported_and_retried() {
    let (authority, hour) = (Authority::new(), Duration::from_secs(3600));
    let (certificate, key) = authority.sign("localhost");
    let kafka = Stack::connect().unwrap().kafka_cluster().unwrap().brokers(1);
    let kafka = kafka
        .listener("SSL", ListenerSecurity::Ssl)
        .listener("MUTUAL", ListenerSecurity::MutualSsl)
        .listener("LOGIN", ListenerSecurity::SaslSsl)
        .certificate(key + &certificate, authority.0.pem())
        .user(USER, PASSWORD)
        .start()
        .unwrap();
    let env = ConsumerEnv::at(kafka.bootstrap()).await;
    env.create_topic(1).await;
    env.produce_order(0, 1).await;

    let (certificate, key) = authority.sign("consumer");
    let mutual = authority.tls().identity(Pem::text(certificate.as_bytes()), Pem::text(key.as_bytes()));
    let login = |sasl: Sasl| Security::new().tls(authority.tls()).sasl(sasl);
    let consumer = |listener: &str, security: Security| {
        Consumer::builder([kafka.address(1, listener).unwrap()])
            .security(security)
            .pipeline(env.pipeline().clone())
            .pool(env.pool())
            .lease_ttl(LONG_LEASE)
            .retry(patient())
            .on(store)
    };

    let mut effects = 0;
    for (listener, security) in [
        ("SSL", Security::new().tls(authority.tls())),
        ("MUTUAL", Security::new().tls(mutual)),
        ("LOGIN", login(Sasl::plain(USER, PASSWORD))),
        ("LOGIN", login(Sasl::scram_sha_256(USER, PASSWORD))),
        ("LOGIN", login(Sasl::scram_sha_512(USER, PASSWORD))),
        ("LOGIN", login(Sasl::oauth_bearer(bearer(hour)))),
    ] {
        for reader in [Reader::Rskafka, Reader::Native] {
            effects += 1;
            let group = format!("group-{effects}");
            let builder = consumer(listener, security.clone()).group(group).reader(reader);
            assert!(!format!("{builder:?}").contains(PASSWORD));
            let running = Running::start(builder.build().unwrap());
            assert_eq!(env.effects(effects).await.len(), effects, "{listener} {security:?} {reader:?}");
            running.stop().await.unwrap();
        }
    }

    let logins_rejected = || {
        let log = std::fs::read_to_string(kafka.log(1).unwrap()).unwrap();
        log.matches("Failed authentication").count()
    };
    // The second rejection follows when the consumer has handled the first one.
    let rejected = async |before: usize| {
        eventually("the broker's log has two more rejected logins", async || {
            let now = logins_rejected();
            if now >= before + 2 { Ok(()) } else { Err(now) }
        })
        .await;
    };

    for (listener, security, reason) in [
        ("SSL", Security::new().tls(Authority::new().tls()), "certificate"),
        ("MUTUAL", Security::new().tls(authority.tls()), "certificate"),
        ("LOGIN", login(Sasl::plain(USER, WRONG)), "PLAIN"),
        ("LOGIN", login(Sasl::scram_sha_256(USER, WRONG)), "SCRAM-SHA-256"),
        ("LOGIN", login(Sasl::scram_sha_512("nobody", WRONG)), "SCRAM-SHA-512"),
        ("LOGIN", login(Sasl::oauth_bearer(bearer(Duration::ZERO))), "token"),
    ] {
        let address = kafka.address(1, listener).unwrap();
        for reader in [Reader::Rskafka, Reader::Native] {
            let before = logins_rejected();
            let builder = consumer(listener, security.clone()).group("rejected").reader(reader);
            let running = Running::start(builder.build().unwrap());
            rejected(before).await;
            let error = running.stop().await.unwrap_err();
            let text = outbox_net::ErrorChain::new(&error).to_string();
            assert!(error.is_security() && error.is_transient(), "{listener}: {text}");
            assert!(text.contains(&address) && text.contains(reason), "{listener}: {text}");
            for secret in [PASSWORD, WRONG] {
                assert!(!text.contains(secret) && !format!("{error:?}").contains(secret), "{listener}: {text}");
            }
        }
    }

    // A wrong password is corrected while the consumer runs.
    let file = std::env::temp_dir().join(format!("outbox-consumer-password-{}", std::process::id()));
    for reader in [Reader::Rskafka, Reader::Native] {
        std::fs::write(&file, WRONG).unwrap();
        let (before, sasl) = (logins_rejected(), Sasl::scram_sha_512(USER, SecretSource::file(&file)));
        let builder = consumer("LOGIN", login(sasl)).group(format!("corrected-{reader:?}")).reader(reader);
        let running = Running::start(builder.build().unwrap());
        rejected(before).await;
        std::fs::write(&file, PASSWORD).unwrap();
        effects += 1;
        assert_eq!(env.effects(effects).await.len(), effects, "{reader:?}");
        running.stop().await.unwrap();
    }
    std::fs::remove_file(&file).unwrap();
}
