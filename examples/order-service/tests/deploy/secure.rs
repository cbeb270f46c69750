//! The service and the relay at servers that demand TLS, and Kafka's a login as well.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use outbox_test_support::stack;
use outbox_testkit::Postgres;
use tokio_postgres::Config;
use xtask::stack::ListenerSecurity;

use crate::files::program;
use crate::fixture::tls::Certificate;
use crate::fixture::{self, Service, blocking, builder, set_up_in};
use crate::plain::Process;

const USER: &str = "shop";
const PASSWORD: &str = "hunter2-of-kafka";

#[tokio::test]
async fn an_order_takes_effect_over_tls_to_postgresql_and_kafka() {
    let (certificate, postgres) = (Certificate::new(), Postgres::start().await.unwrap());
    certificate.install(&postgres.url()).await;
    let kafka = stack().kafka_cluster().unwrap().brokers(1).listener("LOGIN", ListenerSecurity::SaslSsl);
    let kafka = kafka.certificate(format!("{}{}", certificate.key, certificate.pem), &certificate.pem);
    let kafka = blocking(|| kafka.user(USER, PASSWORD).start().unwrap()).await;
    let brokers = kafka.address(1, "LOGIN").unwrap();

    let env = set_up_in(builder().postgres(postgres.url()).build().await).await;
    let file = |ending: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-secure.{ending}", env.name()));
        fs::write(&path, text).unwrap();
        path
    };
    let authority = certificate.file().display().to_string();
    let properties = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n\
         ssl.truststore.location={authority}\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
         required username=\"{USER}\" password=\"{PASSWORD}\";\n"
    );
    let properties = file("properties", &properties);

    let login: Config = env.url().parse().unwrap();
    let password = String::from_utf8(login.get_password().unwrap().to_vec()).unwrap();
    let connection = [
        ("database.hostname", "localhost"),
        ("database.user", login.get_user().unwrap()),
        ("database.password", &password),
        ("database.sslmode", "verify-full"),
        ("database.sslrootcert", &authority),
    ];
    let config = connection.iter().fold(env.config().clone(), |config, (key, value)| config.with(*key, *value));
    let connector = file("json", &config.to_json());
    let mut relay = Command::new(program("outbox-relay"));
    relay.arg("--connector").arg(&connector).args(["--brokers", &brokers]).arg("--kafka-config").arg(&properties);
    let _relay = Process(relay.stdin(Stdio::null()).spawn().unwrap());

    let url = env.url().replace("127.0.0.1", "localhost");
    let mut command = fixture::program::of(&env);
    command
        .env("DATABASE_URL", format!("{url}?sslmode=verify-full&sslrootcert={authority}"))
        .env("KAFKA_BROKERS", &brokers)
        .env("KAFKA_CONFIG", &properties);
    let service = Service::listening(command).await;
    service.order(1).await;
    let received = service.receives(1).await;
    assert_eq!(received[0]["payload"]["quantity"], 1);
    [connector, properties].into_iter().for_each(|file| fs::remove_file(file).unwrap());
}
