use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use outbox_core::ConnectorConfig;
use outbox_relay::{Error, KafkaSecurity, PoisonPolicy, Readiness, Relay, RelaySettings, RelayStatus, Sasl};
use outbox_test_support::{TestEnv, eventually, stack};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, oneshot};
use tokio::task::{JoinHandle, block_in_place};
use xtask::stack::{Acl, AclOperation, KafkaCluster, ListenerSecurity};

use crate::check;
use crate::load::Load;

pub(crate) const USER: &str = "relay";
pub(crate) const PASSWORD: &str = "secret-of-relay";
pub(crate) const LOGIN: &str = "LOGIN";

/// Held by the scenario that uses the cluster.
static TURN: AsyncMutex<()> = AsyncMutex::const_new(());
static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();

/// A scenario: the cluster with all brokers in sync, and a database with a slot for this test.
pub(crate) struct Scene {
    pub(crate) cluster: &'static KafkaCluster,
    pub(crate) env: TestEnv,
    _turn: MutexGuard<'static, ()>,
}

/// A relay under observation.
pub(crate) struct Observed {
    pub(crate) status: RelayStatus,
    reasons: Arc<Mutex<BTreeSet<String>>>,
    watch: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

/// Returns the larger size in a full run.
pub(crate) fn sized<T>(usual: T, full: T) -> T {
    if std::env::var("OUTBOX_FULL").is_ok_and(|full| full == "1") { full } else { usual }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(configure: impl FnOnce(ConnectorConfig) -> ConnectorConfig + Send + 'static) -> Self {
        let turn = TURN.lock().await;
        let cluster = block_in_place(|| {
            let cluster = CLUSTER.get_or_init(start);
            cluster.brokers().try_for_each(|broker| cluster.start(broker)).unwrap();
            cluster.await_in_sync().unwrap();
            cluster
        });

        let configure = move |config: ConnectorConfig| {
            configure(
                config
                    .with("topic.creation.default.partitions", "6")
                    .with("topic.creation.default.replication.factor", "3"),
            )
        };
        let env = TestEnv::builder().slot().configure(configure).build().await;
        Self { cluster, env, _turn: turn }
    }

    /// Starts a relay that uses the listener without login.
    pub(crate) fn relay(&self) -> Observed {
        self.relay_by(&self.cluster.bootstrap(), KafkaSecurity::new())
    }

    /// Starts a relay that logs in as [`USER`].
    pub(crate) fn relay_with_login(&self) -> Observed {
        let security = KafkaSecurity::new().sasl(Sasl::scram_sha_256(USER, PASSWORD));
        self.relay_by(&self.cluster.bootstrap_of(LOGIN).unwrap(), security)
    }

    /// Starts a relay with a topic for dead letters, in which no scenario may find a record.
    pub(crate) fn relay_by(&self, brokers: &str, security: KafkaSecurity) -> Observed {
        let settings = RelaySettings::builder(self.env.config().clone(), brokers.split(','))
            .poison(PoisonPolicy::DeadLetter(self.dead_letters()))
            .build()
            .unwrap();
        let relay = Relay::new(settings).unwrap().kafka_security(security);
        let status = relay.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move { relay.run(async { _ = stopped.await }).await });
        let reasons = Arc::new(Mutex::new(BTreeSet::new()));
        let watch = {
            let (status, reasons) = (status.clone(), Arc::clone(&reasons));
            tokio::spawn(async move {
                loop {
                    if let Readiness::NotReady(reason) = status.readiness() {
                        reasons.lock().unwrap().insert(reason);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        };
        Observed { status, reasons, watch, stop, ended }
    }

    pub(crate) fn load(&self) -> Load {
        Load::start(&self.env)
    }

    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead", self.env.name())
    }

    /// Waits until every event has a record, and checks that each has one, in its place.
    pub(crate) async fn check(self, relay: Observed, load: Load) {
        load.end().await;
        for broker in self.cluster.brokers() {
            block_in_place(|| self.cluster.start(broker)).unwrap();
        }
        self.env.confirmed().await;
        eventually("the relay is ready", async || match relay.status.readiness() {
            Readiness::Ready => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        relay.stop().await;
        check::all(&self).await;
    }
}

fn start() -> KafkaCluster {
    // A scenario that fails shows what the relay logged; `RUST_LOG` chooses how much.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let builder = stack().kafka_cluster().unwrap();
    let cluster =
        builder.listener(LOGIN, ListenerSecurity::SaslPlaintext).user(USER, PASSWORD).authorizer().start().unwrap();
    for operation in [AclOperation::Write, AclOperation::Describe, AclOperation::Read] {
        cluster.add_acl(&Acl::topic(USER, operation, "*")).unwrap();
    }
    cluster
}

impl Observed {
    /// Waits until `/ready` has shown a reason with this text.
    pub(crate) async fn shows(&self, text: &str) {
        eventually(format!("a reason with {text}"), async || {
            let reasons = self.reasons.lock().unwrap();
            if reasons.iter().any(|reason| reason.contains(text)) { Ok(()) } else { Err(reasons.last().cloned()) }
        })
        .await;
    }

    /// Returns how many events the brokers have acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        let metrics = self.status.prometheus_text();
        let lines = metrics.lines().filter(|line| line.starts_with("outbox_relay_events_total{"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Waits until the brokers have acknowledged this many more events.
    pub(crate) async fn acknowledges(&self, more: u64) {
        let goal = self.acknowledged() + more;
        eventually(format!("{goal} events are acknowledged"), async || {
            assert!(!self.ended.is_finished(), "the relay has ended");
            let now = self.acknowledged();
            if now >= goal { Ok(()) } else { Err(now) }
        })
        .await;
    }

    async fn stop(self) {
        assert!(!self.ended.is_finished(), "the relay has ended");
        _ = self.stop.send(());
        self.ended.await.unwrap().unwrap();
        self.watch.abort();
    }
}
