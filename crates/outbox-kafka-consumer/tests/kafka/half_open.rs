//! Connections to PostgreSQL that are gone without a word, as after the loss of a node or a move of its address.

use outbox_kafka_consumer::EventState;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::bench::{Fixture, Running};
use crate::driver::{DRIVERS, consumer, each, store};

/// Forwards connections to PostgreSQL. Those that are open when it is cut carry nothing any more, and stay open.
struct Proxy {
    url: String,
    /// How often it was cut.
    cuts: watch::Sender<u32>,
}

impl Proxy {
    async fn start(url: &str) -> Self {
        let (start, rest) = url.rsplit_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let (server, listener) = (server.to_owned(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("{start}@{}/{database}", listener.local_addr().unwrap());
        let (cuts, seen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&server).await.unwrap().into_split();
                let mut seen = seen.clone();
                seen.mark_unchanged();
                tokio::spawn(forward(from_client, to_server, seen.clone()));
                tokio::spawn(forward(from_server, to_client, seen));
            }
        });
        Self { url, cuts }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn forward(from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cuts: watch::Receiver<u32>) {
    loop {
        tokio::select! {
            biased;
            Ok(()) = cuts.changed() => std::future::pending().await,
            readable = from.readable() => readable.unwrap(),
        }
        let mut bytes = [0; 8_192];
        match from.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => {
                if to.write_all(&bytes[..length]).await.is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_half_open_are_replaced_and_no_event_is_lost_or_blamed() {
    for driver in DRIVERS {
        let bench = Fixture::with_partitions(1).await;
        let proxy = Proxy::start(bench.url()).await;
        let pool = driver.pool(&proxy.url, 8);
        let handler = each(|tx, event| Box::pin(store(tx, event)));
        let running = Running::start(consumer!(pool, bench, on(handler)));
        for round in 0..3 {
            for order in 0..4 {
                bench.produce_order(0, 4 * round + order).await;
            }
            let done = usize::try_from(4 * (round + 1)).unwrap();
            assert_eq!(bench.effects(done).await.len(), done);
            bench.position(0, 4 * (round + 1)).await;
            proxy.cut();
        }
        bench.produce_order(0, 12).await;
        assert_eq!(bench.effects(13).await, (0..13).collect::<Vec<_>>());
        bench.held(EventState::Parked, 0).await;
        bench.held(EventState::Dead, 0).await;
        running.stop().await.unwrap();
    }
}
