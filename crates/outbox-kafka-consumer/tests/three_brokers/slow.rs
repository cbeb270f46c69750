//! An address that drops packets, and a quota.

use std::net::SocketAddr;

use outbox_test_support::eventually;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, block_in_place};
use xtask::is_full;
use xtask::stack::QuotaEntity;

use crate::scene::Scene;

/// An address that drops connection requests: its queue is full, and nothing accepts.
struct Dropping {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<JoinHandle<std::io::Result<TcpStream>>>,
}

impl Dropping {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // More than the queue has room for. The rest stay in their attempts.
        let queued: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        eventually("the queue is full", async || queued.iter().filter(|attempt| attempt.is_finished()).count() > 0)
            .await;
        Self { address, _listener: listener, _queued: queued }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_address_that_drops_packets_costs_little() {
    let scene = Scene::new().await;
    let dropping = Dropping::new().await;
    let load = scene.load("order").await;
    let begin = std::time::Instant::now();
    let readers = scene.readers_at(&format!("{},{}", dropping.address, scene.cluster.bootstrap()));
    readers.handle_of_each(50).await;
    eprintln!("all partitions are read after {:?}", begin.elapsed());
    scene.check(readers, vec![load]).await;
}

/// Both readers share what each broker gives them, about a tenth of what the load writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_slows_down_and_costs_nothing() {
    let scene = Scene::new().await;
    let (readers, load) = (scene.readers(), scene.load("order").await);
    readers.handle_of_each(50).await;
    let entity = QuotaEntity::User("ANONYMOUS".to_owned());
    block_in_place(|| scene.cluster.set_quota(&entity, "consumer_byte_rate", Some(10_000.0))).unwrap();
    load.writes(if is_full() { 15_000 } else { 1_500 }).await;
    readers.handle_of_each(20).await;
    block_in_place(|| scene.cluster.set_quota(&entity, "consumer_byte_rate", None)).unwrap();
    readers.handle_of_each(50).await;
    scene.check(readers, vec![load]).await;
}
