use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use outbox_kafka::{Pem, Sasl, SecretSource, Security, Token, TokenSource};
use tokio::time::Instant;
use xtask::stack::unsecured_token;

use crate::heard::Heard;
use crate::kafka::{Authority, Files, HOUR, PASSWORD, SecureKafka, USER};

/// The time after which the broker ends a connection that has not logged in again.
const REAUTH: Duration = Duration::from_secs(4);

#[tokio::test]
async fn records_are_written_across_new_logins_without_a_failed_request() {
    let kafka = SecureKafka::start(|builder| builder.max_reauth(REAUTH));
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    // Tokens that live for less than the test.
    let tokens = TokenSource::callback(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let time = Duration::from_secs(6);
        async move { Ok(Token::new(unsecured_token(USER, time)).expires_at(SystemTime::now() + time)) }
    });
    let tls = || Security::new().tls(kafka.tls());
    let mut by_token = kafka.client("LOGIN", tls().sasl(Sasl::oauth_bearer(tokens)));
    let mut by_password = kafka.client("LOGIN", tls().sasl(Sasl::scram_sha_512(USER, PASSWORD)));

    // Each write fails the test if its answer is not that of the first attempt.
    let end = Instant::now() + REAUTH * 5;
    while Instant::now() < end {
        by_token.write().await;
        by_password.write().await;
    }
    assert!(calls.load(Ordering::Relaxed) >= 3, "{calls:?} tokens");
    assert_eq!(by_token.written, by_password.written);
}

#[tokio::test]
async fn a_login_that_fails_in_between_costs_no_request_while_the_old_one_holds() {
    let heard = Heard::listen();
    let (kafka, files) = (SecureKafka::start(|builder| builder.max_reauth(REAUTH * 5)), Files::new());
    let file = files.write("password", PASSWORD);
    let sasl = Sasl::scram_sha_256(USER, SecretSource::file(&file));
    let mut client = kafka.client("LOGIN", Security::new().tls(kafka.tls()).sasl(sasl));
    client.write().await;
    files.write("password", "hunter3-is-wrong");
    while !heard.text().contains("new login to Kafka failed") {
        client.write().await;
    }

    files.write("password", PASSWORD);
    let end = Instant::now() + REAUTH * 5;
    while Instant::now() < end {
        client.write().await;
    }
    assert!(!heard.text().contains("hunter"), "{}", heard.text());
}

#[tokio::test]
async fn passwords_tokens_and_certificates_are_read_again_for_each_connection() {
    let (kafka, files) = (SecureKafka::start(|builder| builder), Files::new());
    let own = kafka.authority.sign("relay");
    let stranger = Authority::new().sign("relay");
    let new = "a new password";
    let password = files.write("password", "hunter3-is-wrong");
    let token = files.write("token", unsecured_token(USER, Duration::ZERO));
    let ca = files.write("ca.pem", Authority::new().pem());
    let certificate = files.write("own.pem", &stranger.certificate);
    let key = files.write("own.key", stranger.key.serialize_pem());
    let scram = |password: &str| {
        format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
             sasl.jaas.config=ScramLoginModule required username=\"{USER}\" password=\"{password}\";\n"
        )
    };
    let properties = files.write("client.properties", scram("hunter3-is-wrong"));

    let tls = || kafka.tls().roots(Pem::file(&ca));
    let clients = [
        kafka.client("SSL", Security::new().tls(tls())),
        kafka.client("MUTUAL", Security::new().tls(tls().identity(Pem::file(&certificate), Pem::file(&key)))),
        kafka.client("OPENLOGIN", Security::new().sasl(Sasl::scram_sha_512(USER, SecretSource::file(&password)))),
        kafka.client(
            "OPENLOGIN",
            Security::new().sasl(Sasl::scram_sha_256(USER, SecretSource::command(format!("cat {password}")))),
        ),
        kafka.client("OPENLOGIN", Security::new().sasl(Sasl::oauth_bearer(TokenSource::file(&token)))),
        kafka.client("OPENLOGIN", Security::from_properties_file(&properties).unwrap()),
    ];
    for client in &clients {
        let error = client.connects().await.unwrap_err();
        assert!(error.is_authentication(), "{error}");
    }

    kafka.cluster.set_scram_password(USER, new).unwrap();
    files.write("password", format!("{new}\n"));
    files.write("token", unsecured_token(USER, HOUR));
    files.write("ca.pem", kafka.authority.pem());
    files.write("own.pem", &own.certificate);
    files.write("own.key", own.key.serialize_pem());
    files.write("client.properties", scram(new));
    for client in &clients {
        // The broker learns of the new password within moments.
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(error) = client.connects().await {
            assert!(Instant::now() < until && error.is_authentication(), "{error}");
        }
    }
}
