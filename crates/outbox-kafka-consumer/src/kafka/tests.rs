//! The requests to brokers, and the number of connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use outbox_kafka::Security;
use outbox_testkit::{Broker, Fault};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;
use crate::source::{Fetched, PartitionReader as _};

const TOPIC: &str = "orders";

/// The messages that rskafka logs at level INFO or above.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<String>>>);

impl Logged {
    fn count(&self, part: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|message| message.contains(part)).count()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        if *event.metadata().level() <= tracing::Level::INFO && event.metadata().target().starts_with("rskafka") {
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().unwrap().push(message.0);
        }
    }
}

/// Returns how many connections this process has to an address.
fn connections_to(address: &str) -> usize {
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X} 01");
    table
        .lines()
        .filter(|line| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ").ends_with(&remote))
        .count()
}

/// An address that drops packets: its queue of connections is full, and no process accepts one.
struct Dropping {
    address: String,
    _queue: Vec<TcpStream>,
    _listener: tokio::net::TcpListener,
}

impl Dropping {
    async fn listen() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut queue = Vec::new();
        while let Ok(connected) = timeout(Duration::from_secs(1), TcpStream::connect(&address)).await {
            queue.push(connected.unwrap());
        }
        Self { address, _queue: queue, _listener: listener }
    }
}

#[tokio::test]
async fn discovery_connects_no_client_of_rskafka_and_partitions_share_connections() {
    let logged = Logged::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(logged.clone()));
    let broker = Broker::builder().start().await.unwrap();
    broker.create_topic(TOPIC, 20).unwrap();
    let cluster = Cluster::new(Brokers::new(vec![broker.address()], Security::new()), 4 << 20);
    for _ in 0..5 {
        assert_eq!(cluster.partitions(&[TOPIC.to_owned()].into()).await.unwrap().len(), 1);
    }
    assert_eq!(logged.count(""), 0);

    let readers = futures_util::future::join_all((0..20).map(|partition| cluster.open(TOPIC, partition))).await;
    let readers: Vec<_> = readers.into_iter().map(Result::unwrap).collect();
    // One of the consumer's own, one of the client that all partitions share, and one that rskafka has for each
    // partition.
    assert_eq!(connections_to(&broker.address()), 22);
    assert_eq!(logged.count("Establishing new connection"), 21);
    drop(readers);
}

/// rskafka has a connection for each partition, so `Reader::Auto` reads most of many partitions by the native reader.
#[tokio::test]
async fn the_default_reader_bounds_the_connections_of_a_process() {
    const PARTITIONS: i32 = 60;
    let broker = Broker::builder().start().await.unwrap();
    broker.create_topic(TOPIC, PARTITIONS).unwrap();

    let brokers = Brokers::new(vec![broker.address()], Security::new());
    let choice = crate::source::Choice::new(crate::Reader::default(), &brokers, 256 << 20);
    let opened = futures_util::future::join_all((0..PARTITIONS).map(|partition| choice.open(TOPIC, partition))).await;
    let read = opened.into_iter().map(|reader| async {
        let mut reader = reader.unwrap();
        assert!(matches!(reader.fetch(0).await.unwrap(), Fetched::Records { .. }));
        reader
    });
    let readers = futures_util::future::join_all(read).await;
    let connections = connections_to(&broker.address());
    assert!(connections <= 22, "{connections} connections");
    drop(readers);
}

#[tokio::test]
async fn a_bootstrap_address_that_drops_packets_is_got_around() {
    let broker = Broker::builder().start().await.unwrap();
    broker.create_topic(TOPIC, 1).unwrap();
    let dropping = Dropping::listen().await;
    let cluster =
        Cluster::new(Brokers::new(vec![dropping.address.clone(), broker.address()], Security::new()), 4 << 20);
    let mut reader = cluster.open(TOPIC, 0).await.unwrap();
    assert_eq!(reader.end().await.unwrap(), 0);

    let since = Instant::now();
    for _ in 0..3 {
        cluster.open(TOPIC, 0).await.unwrap();
    }
    assert!(since.elapsed() < Brokers::PATIENCE, "the address is not waited for again");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_not_created() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = Cluster::new(Brokers::new(vec![broker.address()], Security::new()), 4 << 20);
    broker.create_topic("other", 1).unwrap();
    assert!(cluster.open(TOPIC, 0).await.unwrap_err().is_transient());
    assert!(cluster.open("other", 1).await.unwrap_err().is_transient());
    let topics: BTreeSet<String> = [TOPIC.to_owned(), "other".to_owned()].into();
    let found = cluster.partitions(&topics).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["other"]);
}

#[tokio::test]
async fn a_reader_gets_over_a_leader_that_moves_and_connections_that_break() {
    let broker = Broker::builder().start().await.unwrap();
    broker.create_topic(TOPIC, 1).unwrap();
    let cluster = Cluster::new(Brokers::new(vec![broker.address()], Security::new()), 4 << 20);
    let mut reader = cluster.open(TOPIC, 0).await.unwrap();
    let moved = broker.faults().inject(Fault::not_leader().on(TOPIC, 0).times(3));
    assert!(matches!(reader.fetch(0).await.unwrap(), Fetched::Records { .. }));
    assert_eq!(moved.struck(), 3);

    let address = broker.address();
    broker.shutdown().await;
    let broker = Broker::builder().listen(address.parse().unwrap()).start().await.unwrap();
    broker.create_topic(TOPIC, 1).unwrap();
    // This topic has another id, so the reader must not read it.
    let failed = reader.fetch(0).await.unwrap_err();
    assert!(
        outbox_net::ErrorChain::new(&failed).to_string().contains("created again"),
        "{}",
        outbox_net::ErrorChain::new(&failed)
    );
}
