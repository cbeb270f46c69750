//! Privileges in Kafka: a broker that asks for a login and for ACLs, and creates no topics by itself.

use outbox_test_support::{TestEnv, eventually, stack};
use xtask::stack::{Acl, AclOperation, KafkaCluster, ListenerSecurity, NewTopic};

use crate::doctor::finds;
use crate::fixture::{TempFile, order, run_at};

const LOGIN: &str = "LOGIN";
const USER: &str = "relay";

struct Guarded {
    cluster: KafkaCluster,
    env: TestEnv,
    connector: TempFile,
    kafka: TempFile,
    brokers: String,
}

impl Guarded {
    async fn start() -> Self {
        let cluster = stack().kafka_cluster().unwrap().brokers(1).property("auto.create.topics.enable", "false");
        let cluster = cluster.listener(LOGIN, ListenerSecurity::SaslPlaintext).user(USER, "the password").authorizer();
        let cluster = tokio::task::spawn_blocking(|| cluster.start()).await.unwrap().unwrap();
        let env = TestEnv::builder().slot().build().await;
        env.enqueue(&[order(1)]).await;

        let connector = TempFile::config(&env, "-permissions", env.config());
        let properties = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{USER}\" \
             password=\"the password\";\n"
        );
        let kafka = TempFile::new(&format!("{}.properties", env.name()), &properties);
        let brokers = cluster.address(1, LOGIN).unwrap();
        Self { cluster, env, connector, kafka, brokers }
    }

    fn allow(&self, operation: AclOperation) {
        self.cluster.add_acl(&Acl::topic(USER, operation, self.env.topic())).unwrap();
    }

    fn arguments(&self) -> [&str; 6] {
        let (connector, kafka) = (self.connector.path(), self.kafka.path());
        ["--connector-config", connector, "--kafka-config", kafka, "--brokers", &self.brokers]
    }

    /// Waits until the doctor finds a text. A broker applies an ACL a moment later.
    async fn finds(&self, text: &str) {
        finds(&self.env, &self.arguments(), text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_acls_and_a_topic_that_nobody_creates_are_found() {
    let guarded = Guarded::start().await;
    let (topic, name) = (format!("topic {}: ", guarded.env.topic()), guarded.env.topic());

    guarded.finds("producer: ").await;
    guarded.finds(&topic).await;
    guarded.allow(AclOperation::Describe);
    guarded.finds("-> create the topic, or allow Create on it").await;
    guarded.cluster.create_topic(&NewTopic::new(name)).unwrap();
    guarded.finds(&format!("{topic}the user lacks Read and Write on it")).await;
    guarded.allow(AclOperation::Write);
    guarded.finds(&format!("{topic}the user lacks Read on it")).await;
    guarded.allow(AclOperation::Read);
    eventually("no check fails", async || {
        let ran = run_at(&guarded.env, &[&["doctor"], &guarded.arguments()[..]].concat()).await;
        if ran.code == 0 { Ok(()) } else { Err(ran) }
    })
    .await;
}
