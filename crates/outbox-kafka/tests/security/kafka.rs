use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_kafka::{
    BatchBuilder, Cluster, Compression, Error, NewTopic, Pem, Produced, Producer, RecordBody, Security, Settings, Tls,
    ToProduce, Topic,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use xtask::stack::{KafkaCluster, KafkaClusterBuilder, ListenerSecurity, Stack};

pub(crate) const USER: &str = "relay";
pub(crate) const PASSWORD: &str = "hunter2 \"of\" \\Kafka;";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A cluster of one broker with a listener for each kind of security, and the authority of its certificates.
pub(crate) struct SecureKafka {
    pub(crate) cluster: KafkaCluster,
    pub(crate) authority: Authority,
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn roots(&self) -> Pem {
        Pem::text(self.pem().as_bytes())
    }

    pub(crate) fn sign(&self, host: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key }
    }
}

impl Identity {
    pub(crate) fn tls(&self, tls: Tls) -> Tls {
        tls.identity(Pem::text(self.certificate.as_bytes()), Pem::text(self.key.serialize_pem().as_bytes()))
    }
}

impl SecureKafka {
    pub(crate) fn start(adjust: impl FnOnce(KafkaClusterBuilder) -> KafkaClusterBuilder) -> Self {
        let authority = Authority::new();
        let own = authority.sign("localhost");
        let cluster = Stack::connect()
            .unwrap()
            .kafka_cluster()
            .unwrap()
            .brokers(1)
            .listener("SSL", ListenerSecurity::Ssl)
            .listener("MUTUAL", ListenerSecurity::MutualSsl)
            .listener("LOGIN", ListenerSecurity::SaslSsl)
            .listener("OPENLOGIN", ListenerSecurity::SaslPlaintext)
            .certificate(format!("{}{}", own.key.serialize_pem(), own.certificate), authority.pem())
            .user(USER, PASSWORD);
        Self { cluster: adjust(cluster).start().unwrap(), authority }
    }

    pub(crate) fn client(&self, listener: &str, security: Security) -> Client {
        Client::new(&self.cluster.address(1, listener).unwrap(), security)
    }

    /// Returns TLS that trusts the cluster's authority.
    pub(crate) fn tls(&self) -> Tls {
        Tls::new().roots(self.authority.roots())
    }
}

/// A client with a producer's state.
pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    producing: Option<(Arc<Topic>, Producer)>,
    pub(crate) written: i64,
}

impl Client {
    pub(crate) fn new(address: &str, security: Security) -> Self {
        let cluster = Cluster::new(Settings { security, ..Settings::new([address]) });
        Self { cluster, producing: None, written: 0 }
    }

    /// Asks for something that needs a connection.
    pub(crate) async fn connects(&self) -> Result<(), Error> {
        self.cluster.topic("no-such-topic").await.map(|_| ())
    }

    /// Writes one record, and expects it at the next offset of a topic of this client's own.
    pub(crate) async fn write(&mut self) {
        let (topic, producer) = match self.producing.take() {
            Some(producing) => producing,
            None => (self.topic().await, self.cluster.init_producer_id().await.unwrap()),
        };
        let mut builder = BatchBuilder::new(Compression::None, 100);
        builder.append(0, &RecordBody::new(None, Some(b"value"), &[] as &[(&str, Option<&[u8]>)]));
        let batch = builder.finish(producer).unwrap().unwrap();
        let produced = self.cluster.produce(ToProduce { topic: Arc::clone(&topic), partition: 0, batch }).await;
        match produced {
            Produced::Appended { base_offset, .. } => assert_eq!(base_offset, self.written),
            other => panic!("not appended after {}: {other:?}", self.written),
        }

        self.written += 1;
        self.producing = Some((topic, producer.after(1)));
    }

    async fn topic(&self) -> Arc<Topic> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("secure-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let new = NewTopic { name, partitions: Some(1), replication: Some(1), configs: Vec::new() };
        self.cluster.create_topic(&new).await.unwrap()
    }
}

/// Files of one test, removed with it.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("outbox-kafka-security-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// Writes a file in one step, as programs that rotate secrets do.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        let new = self.0.join(format!("{name}.new"));
        std::fs::write(&new, contents).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
