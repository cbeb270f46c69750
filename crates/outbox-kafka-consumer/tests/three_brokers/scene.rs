use std::sync::OnceLock;

use outbox_core::Identifier;
use outbox_kafka_consumer::migrations;
use outbox_kafka_consumer::outbox_kafka::{Sasl, Security};
use outbox_test_support::{TestEnv, stack};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::block_in_place;
use xtask::stack::{Acl, AclOperation, KafkaCluster, ListenerSecurity, NewTopic};

use crate::load::Load;
use crate::readers::Readers;

pub(crate) const USER: &str = "consumer";
pub(crate) const PASSWORD: &str = "secret-of-consumer";
pub(crate) const PARTITIONS: i32 = 6;
const LOGIN: &str = "LOGIN";

/// Held by the scenario that uses the cluster.
static TURN: Mutex<()> = Mutex::const_new(());
static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();

/// A scenario: the cluster with all brokers in sync, a database with the tables of consumer and test, and a topic.
pub(crate) struct Scene {
    pub(crate) cluster: &'static KafkaCluster,
    pub(crate) env: TestEnv,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// Sets up a scenario whose partitions have a replica on each broker.
    pub(crate) async fn new() -> Self {
        let scene = Self::without_topic().await;
        scene.create_topic("order");
        scene
    }

    pub(crate) async fn without_topic() -> Self {
        let turn = TURN.lock().await;
        let cluster = block_in_place(|| {
            let cluster = CLUSTER.get_or_init(start);
            cluster.brokers().try_for_each(|broker| cluster.start(broker)).unwrap();
            cluster.await_in_sync().unwrap();
            cluster
        });
        let env = TestEnv::builder().database().build().await;
        let mut client = env.client().await;
        migrations(&Identifier::new("outbox").unwrap()).apply(&mut client).await.unwrap();

        let effect = "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, reader text, topic text,
                      partition int, aggregate text, number bigint)";
        client.batch_execute(effect).await.unwrap();
        Self { cluster, env, _turn: turn }
    }

    /// Creates the topic of an aggregate type.
    pub(crate) fn create_topic(&self, aggregate_type: &str) {
        let topic = NewTopic::new(self.env.topic_of(aggregate_type)).partitions(PARTITIONS);
        block_in_place(|| self.cluster.create_topic(&topic)).unwrap();
    }

    /// Starts both readers on the listener without login.
    pub(crate) fn readers(&self) -> Readers {
        self.readers_of(&["order"])
    }

    /// Starts both readers for the events of these aggregate types.
    pub(crate) fn readers_of(&self, types: &[&str]) -> Readers {
        Readers::start(&self.env, &self.cluster.bootstrap(), &Security::new(), types)
    }

    pub(crate) fn readers_at(&self, brokers: &str) -> Readers {
        Readers::start(&self.env, brokers, &Security::new(), &["order"])
    }

    /// Starts both readers, which log in as [`USER`].
    pub(crate) fn readers_with_login(&self) -> Readers {
        let security = Security::new().sasl(Sasl::scram_sha_256(USER, PASSWORD));
        Readers::start(&self.env, &self.cluster.bootstrap_of(LOGIN).unwrap(), &security, &["order"])
    }

    /// Starts to write events of an aggregate type, whose topic exists.
    pub(crate) async fn load(&self, aggregate_type: &str) -> Load {
        Load::start(&self.env, &self.cluster.bootstrap(), aggregate_type).await
    }

    /// Waits until every event has taken effect with each reader, and checks that each has once, in its place.
    pub(crate) async fn check(self, readers: Readers, loads: Vec<Load>) {
        for broker in self.cluster.brokers() {
            block_in_place(|| self.cluster.start(broker)).unwrap();
        }
        let mut written = Vec::new();
        for load in loads {
            written.push(load.end().await);
        }
        readers.check(&written).await;
    }
}

fn start() -> KafkaCluster {
    // A scenario that fails shows what the consumers logged; `RUST_LOG` chooses how much.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let builder = stack().kafka_cluster().unwrap();
    let cluster =
        builder.listener(LOGIN, ListenerSecurity::SaslPlaintext).user(USER, PASSWORD).authorizer().start().unwrap();
    for operation in [AclOperation::Describe, AclOperation::Read] {
        cluster.add_acl(&Acl::topic(USER, operation, "*")).unwrap();
    }
    cluster
}
