//! Connections to PostgreSQL that are gone without a word, as after the loss of a node or a move of its address.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, tokio_postgres};
use outbox_kafka_consumer::{EventState, set_tcp_deadlines};
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::driver::{self, DRIVERS, consumer, each, store};
use crate::env::{ConsumerEnv, LEASE, Running};

/// Forwards connections to PostgreSQL. Those that are open when it is cut carry nothing any more, and stay open.
struct Proxy {
    url: String,
    /// The number of times that it was cut.
    cuts: watch::Sender<u32>,
}

impl Proxy {
    fn start(url: &str) -> Self {
        let (start, rest) = url.rsplit_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let socket = TcpSocket::new_v4().unwrap();

        // What is sent after a cut then stays unacknowledged.
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();

        let (server, listener) = (server.to_owned(), socket.listen(64).unwrap());
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
        let env = ConsumerEnv::with_partitions(1).await;
        let proxy = Proxy::start(env.url());
        let pool = driver.pool(&proxy.url, 8);
        let handler = each(|tx, event| Box::pin(store(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), lease_ttl(LEASE)));

        for round in 0..3 {
            for order in 0..4 {
                env.produce_order(0, 4 * round + order).await;
            }
            let done = usize::try_from(4 * (round + 1)).unwrap();
            assert_eq!(env.effects(done).await.len(), done);
            env.position(0, 4 * (round + 1)).await;
            proxy.cut();
        }

        env.produce_order(0, 12).await;
        assert_eq!(env.effects(13).await, (0..13).collect::<Vec<_>>());
        env.held(EventState::Parked, 0).await;
        env.held(EventState::Dead, 0).await;
        running.stop().await.unwrap();
    }
}

/// The attempts and redeliveries that a handler got, with the proxy that its first call cuts.
struct Cut {
    proxy: Proxy,
    calls: Mutex<Vec<(u32, bool)>>,
}

impl Cut {
    fn new(url: &str) -> Arc<Self> {
        Arc::new(Self { proxy: Proxy::start(url), calls: Mutex::default() })
    }

    /// Returns a handler whose connection is lost while its first call runs, before it sends this statement.
    fn handler(self: &Arc<Self>, statement: String) -> driver::Each {
        let cut = Arc::clone(self);
        each(move |tx, event| {
            let (cut, statement) = (Arc::clone(&cut), statement.clone());
            Box::pin(async move {
                let calls = {
                    let mut calls = cut.calls.lock().unwrap();
                    calls.push((event.attempt(), event.is_redelivery()));
                    calls.len()
                };
                if calls == 1 {
                    cut.proxy.cut();
                }
                tx.run(&statement).await?;
                store(tx, event).await
            })
        })
    }

    /// Checks that the event took effect in a later call, which was the same attempt.
    async fn check(&self, env: &ConsumerEnv) {
        assert_eq!(env.effects(1).await, [7]);
        env.held(EventState::Parked, 0).await;
        let calls = self.calls.lock().unwrap();
        assert_eq!(calls[..2], [(1, false), (1, true)]);
        assert!(calls[2..].iter().all(|call| *call == (1, true)), "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_statement_is_never_answered_blames_no_event() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let cut = Cut::new(env.url());
        let pool = driver.pool(&cut.proxy.url, 8);
        let handler = cut.handler("SELECT 1".to_owned());
        let running = Running::start(consumer!(pool, env, on(handler), handler_timeout(LEASE), lease_ttl(LEASE)));
        env.produce_order(0, 7).await;
        cut.check(&env).await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_deadlines_end_a_statement_of_a_handler_whose_server_is_gone() {
    let env = ConsumerEnv::with_partitions(1).await;
    let cut = Cut::new(env.url());
    let mut config: tokio_postgres::Config = cut.proxy.url.parse().unwrap();
    set_tcp_deadlines(&mut config, LEASE);

    let pool = Pool::builder(Manager::new(config, tokio_postgres::NoTls)).max_size(8).build().unwrap();
    let pool = driver::Pool::TokioPostgres(pool);
    let handler = cut.handler(format!("SELECT '{}'", "x".repeat(16 << 20)));
    let an_hour = Duration::from_secs(3_600);
    let running = Running::start(consumer!(pool, env, on(handler), handler_timeout(an_hour), lease_ttl(LEASE)));
    env.produce_order(0, 7).await;
    assert_eq!(env.effects(1).await, [7]);
    assert!(cut.calls.lock().unwrap().len() > 1);
    running.stop().await.unwrap();
}
