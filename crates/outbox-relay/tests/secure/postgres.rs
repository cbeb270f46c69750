use outbox_core::ConnectorConfig;
use outbox_relay::{KafkaSecurity, Relay, RelaySettings, SecretSource};
use outbox_testkit::Broker;

use crate::certificates::{Authority, Files};
use crate::said::Said;
use crate::secure_postgres::{PASSWORD, Running, SecurePostgres, chain};

/// A connector's keys and their values.
type Keys<'a> = &'a [(&'a str, &'a str)];

fn with(config: &ConnectorConfig, keys: Keys<'_>) -> ConnectorConfig {
    keys.iter().fold(config.clone(), |config, (key, value)| config.with(format!("database.{key}"), *value))
}

#[tokio::test]
async fn each_way_of_tls_delivers_encrypted() {
    let said = Said::listen();
    let (mut postgres, broker, files) = (SecurePostgres::start().await, Broker::start().await.unwrap(), Files::new());
    let ca = files.write("ca.pem", &postgres.authority.certificate());
    let own = postgres.authority.sign("certified");
    let (certificate, key) = (files.write("own.pem", &own.certificate), files.write("own.key", &own.key));
    let ways: [Keys<'_>; 5] = [
        &[("sslmode", "prefer")],
        &[("sslmode", "require")],
        // The certificate is of another name.
        &[("sslmode", "verify-ca"), ("sslrootcert", &ca), ("hostname", "127.0.0.1")],
        &[("sslmode", "verify-full"), ("sslrootcert", &ca)],
        &[
            ("sslmode", "verify-full"),
            ("sslrootcert", &ca),
            ("sslcert", &certificate),
            ("sslkey", &key),
            ("user", "certified"),
            ("password", ""),
        ],
    ];

    for way in ways {
        let relay = postgres.relay(with(&postgres.config, way), &broker.address(), KafkaSecurity::default()).unwrap();
        said.note(&relay);
        let relay = Running::start(relay);
        postgres.enqueue().await;
        relay.written(1).await;
        let (encrypted, plain) = postgres.encrypted().await;
        assert!(encrypted >= 1 && plain == 0, "{way:?}: {encrypted} encrypted, {plain} not");
        relay.stop().await;
    }

    // Bound to the TLS connection: each login by password was.
    let logins = |mechanism: &str| said.text().matches(&format!("mechanism=\"{mechanism}\"")).count();

    assert!(logins("SCRAM-SHA-256-PLUS") >= 4 && logins("SCRAM-SHA-256") == 0, "{}", said.text());
    said.without(&[PASSWORD, own.key.lines().nth(1).unwrap()]);
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_and_a_relay_that_is_not_known_are_refused_with_the_reason() {
    let said = Said::listen();
    let (postgres, broker, files) = (SecurePostgres::start().await, Broker::start().await.unwrap(), Files::new());
    let ca = files.write("ca.pem", &postgres.authority.certificate());
    let other = files.write("other.pem", &Authority::new("another authority").certificate());
    let wrong = "hunter3-is-wrong";
    let ways: [(Keys<'_>, &str); 6] = [
        (&[("sslmode", "verify-full"), ("sslrootcert", &other)], "UnknownIssuer"),
        (&[("sslmode", "verify-ca"), ("sslrootcert", &other)], "UnknownIssuer"),
        (&[("sslmode", "verify-full"), ("sslrootcert", &ca), ("hostname", "127.0.0.1")], "not valid for name"),
        (&[("sslmode", "require"), ("password", wrong)], "refused the user or the password"),
        (&[("sslmode", "require"), ("password", "")], "asks for a password"),
        (&[("sslmode", "disable")], "refused the user or the password"),
    ];

    for (way, reason) in ways {
        let relay = postgres.relay(with(&postgres.config, way), &broker.address(), KafkaSecurity::default()).unwrap();
        let status = relay.status();
        let error = Running::start(relay).outcome().await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains(reason), "{way:?}: {text}");
        assert!(status.readiness().to_string().contains("stopped"), "{}", status.readiness());
        said.note(&error);
        said.note(&text);
        said.note(&status.readiness());
    }

    assert_ne!(postgres.port(), 0);
    said.without(&[PASSWORD, wrong]);
}

#[tokio::test]
async fn a_password_that_changes_is_read_again() {
    let said = Said::listen();
    let broker = Broker::start().await.unwrap();
    for by_command in [false, true] {
        let (mut postgres, files) = (SecurePostgres::start().await, Files::new());
        let file = files.write("db.properties", &format!("password={PASSWORD}\n"));
        let mut config = with(&postgres.config, &[("sslmode", "require")]);
        if !by_command {
            config = config.with("database.password", format!("${{file:{file}:password}}"));
        }
        let mut builder = RelaySettings::builder(config, [broker.address()]);
        if by_command {
            builder = builder.postgres_password(SecretSource::command(format!("sed s/password=// {file}")));
        }
        let relay = Relay::new(builder.build().unwrap()).unwrap();
        said.note(&relay);
        let relay = Running::start(relay);
        postgres.enqueue().await;
        relay.written(1).await;

        let new = "hunter3-of-postgres";
        files.write("db.properties", &format!("password={new}\n"));
        postgres.change_password(new).await;
        postgres.enqueue().await;
        relay.written(2).await;
        said.note(&relay.status.prometheus_text());
        relay.stop().await;
        said.without(&[PASSWORD, new]);
    }
}
