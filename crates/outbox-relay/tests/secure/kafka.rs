use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use outbox_core::ConnectorConfig;
use outbox_relay::{KafkaSecurity, Pem, Relay, RelaySettings, Sasl, Tls};
use outbox_test_support::eventually;
use xtask::stack::{KafkaCluster, ListenerSecurity, Stack};

use crate::certificates::{Authority, Signed};
use crate::said::Said;
use crate::secure_postgres::{Running, SecurePostgres, chain};

const USER: &str = "relay";
const PASSWORD: &str = "hunter2-of-kafka";

/// Returns a broker with a listener for each way, all with a certificate of the authority for `localhost`.
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

/// The binary `outbox-relay`, which is killed with the value.
struct Program {
    child: Child,
    files: PathBuf,
}

impl Program {
    fn start(connector: &ConnectorConfig, kafka_config: &str) -> Self {
        let files = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secure-{}", std::process::id()));
        fs::create_dir_all(&files).unwrap();
        let (connector_file, kafka_file) = (files.join("connector.json"), files.join("client.properties"));
        fs::write(&connector_file, connector.to_json()).unwrap();
        fs::write(&kafka_file, kafka_config).unwrap();

        let child = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
            .arg("--connector")
            .arg(connector_file)
            .arg("--kafka-config")
            .arg(kafka_file)
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stderr(File::create(files.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, files }
    }

    /// Returns the log.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::read_to_string(self.files.join("log")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the relay's log:\n{}", fs::read_to_string(self.files.join("log")).unwrap_or_default());
        }
        _ = fs::remove_dir_all(&self.files);
    }
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

    // The program, with the file that clients of this Kafka have.
    let scram = format!("{jaas} username=\"{USER}\" password=\"{PASSWORD}\";");
    let properties = [
        ("bootstrap.servers", &*kafka.address(1, "LOGIN").unwrap()),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.jaas.config", &scram),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.certificates", &ca.replace('\n', "\\n")),
    ];
    let properties: String = properties.map(|(key, value)| format!("{key}={value}\n")).concat();
    let plain = outbox_kafka::Cluster::new(outbox_kafka::Settings::new([kafka.bootstrap()]));
    let topic = plain.refreshed("outbox.events.order").await.unwrap().unwrap();
    let end = async || plain.list_offsets(&topic, 0, outbox_kafka::OffsetAt::Latest).await.unwrap();
    let before = end().await;
    let program = Program::start(&postgres.config, &properties);

    postgres.enqueue().await;
    eventually("the program writes the event", async || {
        let now = end().await;
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    said.note(&program.end());

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
