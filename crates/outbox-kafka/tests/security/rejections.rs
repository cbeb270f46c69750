use std::time::Duration;

use outbox_kafka::{Cluster, Error, Sasl, Security, Settings, TokenSource};
use outbox_net::ErrorChain;
use xtask::stack::{ListenerSecurity, Stack, unsecured_token};

use crate::kafka::{Authority, Files, PASSWORD, SecureKafka, USER};

const WRONG: &str = "hunter3-is-wrong";

#[tokio::test]
async fn what_is_wrong_names_the_broker_and_the_remedy() {
    let (kafka, files) = (SecureKafka::start(|builder| builder), Files::new());
    let tls = || Security::new().tls(kafka.tls());
    let expired = unsecured_token(USER, Duration::ZERO);
    let expired = files.write("expired", expired);
    let garbage = files.write("garbage", WRONG);
    let stranger = Authority::new();
    let tokens = |file: &str| Sasl::oauth_bearer(TokenSource::file(file));
    let cases = [
        ("LOGIN", tls().sasl(Sasl::plain(USER, WRONG)), "login by PLAIN: check"),
        ("LOGIN", tls().sasl(Sasl::scram_sha_256(USER, WRONG)), "login by SCRAM-SHA-256: check"),
        ("LOGIN", tls().sasl(Sasl::scram_sha_512("nobody", PASSWORD)), "login by SCRAM-SHA-512: check"),
        ("LOGIN", tls().sasl(tokens(&expired)), "expired"),
        ("LOGIN", tls().sasl(tokens(&garbage)), "login by OAUTHBEARER: check"),
        ("LOGIN", tls().sasl(tokens("/nowhere/token")), "secret or a certificate"),
        ("LOGIN", tls().sasl(Sasl::oauth_bearer(TokenSource::command("exit 7"))), "secret or a certificate"),
        ("SSL", tls().sasl(Sasl::plain(USER, PASSWORD)), "takes no login on this port"),
        ("SSL", Security::new().tls(kafka.tls().roots(stranger.roots())), "name the file of the authority"),
        (
            "SSL",
            Security::new().tls(kafka.tls().roots(outbox_kafka::Pem::file("/nowhere/ca"))),
            "secret or a certificate",
        ),
        ("MUTUAL", tls(), "demands a client certificate"),
        ("MUTUAL", Security::new().tls(stranger.sign("relay").tls(kafka.tls())), "client's certificate"),
    ];

    for (listener, security, remedy) in cases {
        let address = kafka.cluster.address(1, listener).unwrap();
        let started = std::time::Instant::now();
        let error = kafka.client(listener, security).connects().await.unwrap_err();
        let shown = ErrorChain::new(&error).to_string();
        assert!(error.to_string().contains(remedy) && shown.contains(&address), "{listener}, {remedy}: {shown}");
        assert!(error.is_authentication() && !error.is_transient(), "{shown}");
        let all = format!("{shown} {error:?}");
        assert!(!all.contains(WRONG) && !all.contains(PASSWORD), "{all}");
        // It is not tried again until the time for requests is over.
        assert!(started.elapsed() < Duration::from_secs(25), "{shown}");
    }
}

fn quick(address: &str, security: Security) -> Cluster {
    Cluster::new(Settings { security, request_timeout: Duration::from_secs(1), ..Settings::new([address]) })
}

async fn error_of(cluster: &Cluster) -> Error {
    cluster.topic("no-such-topic").await.unwrap_err()
}

/// TLS on one side alone: a broker that restarts looks the same, so this is tried again, but it says what may be wrong.
#[tokio::test]
async fn tls_on_one_side_alone_says_so() {
    let kafka = SecureKafka::start(|builder| builder);
    let address = |listener| kafka.cluster.address(1, listener).unwrap();
    let error = error_of(&quick(&address("PLAINTEXT"), Security::new().tls(kafka.tls()))).await;
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains("TLS handshake") && shown.contains(&address("PLAINTEXT")), "{shown}");

    let error = error_of(&quick(&address("SSL"), Security::new())).await;
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains("TLS") && shown.contains("security.protocol") && shown.contains(&address("SSL")), "{shown}");

    let error = error_of(&quick(&address("OPENLOGIN"), Security::new())).await;
    let shown = ErrorChain::new(&error).to_string();
    assert!(shown.contains("login") && shown.contains(&address("OPENLOGIN")), "{shown}");
}

#[tokio::test]
async fn another_broker_is_tried_if_one_rejects_the_login() {
    let start = |password: &str| {
        let cluster = Stack::connect().unwrap().kafka_cluster().unwrap().brokers(1);
        cluster.listener("LOGIN", ListenerSecurity::SaslPlaintext).user(USER, password).start().unwrap()
    };
    let (rejects, accepts) = (start(WRONG), start(PASSWORD));
    let address = |cluster: &xtask::stack::KafkaCluster| cluster.address(1, "LOGIN").unwrap();
    let login = || Security::new().sasl(Sasl::plain(USER, PASSWORD));
    let both = Settings { security: login(), ..Settings::new([address(&rejects), address(&accepts)]) };
    Cluster::new(both).topic("no-such-topic").await.unwrap();

    // The rejected login is what is reported, and not the broker that is unreachable.
    let dead = address(&accepts);
    drop(accepts);
    let both = Settings { security: login(), ..Settings::new([address(&rejects), dead]) };
    let error = error_of(&Cluster::new(both)).await;
    assert!(error.is_authentication() && !error.is_transient(), "{}", ErrorChain::new(&error));
    assert!(ErrorChain::new(&error).to_string().contains(&address(&rejects)), "{}", ErrorChain::new(&error));
}
