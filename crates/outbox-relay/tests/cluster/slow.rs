//! Addresses that drop packets, and quotas.

use std::net::SocketAddr;

use outbox_relay::KafkaSecurity;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::block_in_place;
use xtask::stack::QuotaEntity;

use crate::scene::{Scene, sized};

/// An address that drops connection requests: its queue is full, and nothing accepts.
struct Dropping {
    address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _queued: Vec<tokio::task::JoinHandle<std::io::Result<TcpStream>>>,
}

impl Dropping {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // More than the queue has room for. The rest stay in their attempts.
        let queued = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        Self { address, _listener: listener, _queued: queued }
    }
}

/// One after the other they would cost ten seconds each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_drop_packets_cost_little() {
    let scene = Scene::new().await;
    let mut dropping = Vec::new();
    for _ in 0..12 {
        dropping.push(Dropping::new().await);
    }

    let mut brokers: Vec<String> = dropping.iter().map(|dropping| dropping.address.to_string()).collect();
    brokers.push(scene.cluster.bootstrap());
    let load = scene.load();
    let begin = std::time::Instant::now();
    let relay = scene.relay_by(&brokers.join(","), KafkaSecurity::new());
    relay.acknowledges(300).await;
    eprintln!("the first 300 events took {:?}", begin.elapsed());
    assert!(begin.elapsed().as_secs() < 60, "each address took its whole time");

    // The relay asks for one more topic, and does not ask there first.
    load.add_type("later");
    relay.acknowledges(600).await;
    scene.check(relay, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_slows_down_and_costs_nothing() {
    let scene = Scene::new().await;
    let (relay, load) = (scene.relay(), scene.load());
    relay.acknowledges(300).await;
    let entity = QuotaEntity::User("ANONYMOUS".to_owned());
    block_in_place(|| scene.cluster.set_quota(&entity, "producer_byte_rate", Some(4_000.0))).unwrap();
    load.writes(sized(1_500, 15_000)).await;
    block_in_place(|| scene.cluster.set_quota(&entity, "producer_byte_rate", None)).unwrap();
    relay.acknowledges(300).await;
    scene.check(relay, load).await;
}
