use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outbox_core::OutboxEvent;
use outbox_pg::StatementCaching;
use outbox_pg::deadpool_postgres::{Manager, Pool};
use outbox_pg::tokio_postgres::config::Host;
use outbox_pg::tokio_postgres::{Config, NoTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use outbox_test_support::TestEnv;

/// The way of one connection to PostgreSQL, on which every message is counted that asks the server for an answer.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// Opens the way, and what leads over it.
    async fn to(env: &TestEnv) -> (Self, Config) {
        let direct = env.url().parse::<Config>().unwrap();
        let ([Host::Tcp(host), ..], [port, ..]) = (direct.get_hosts(), direct.get_ports()) else {
            panic!("no address")
        };
        let server = TcpStream::connect((host.as_str(), *port)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::new();
        config.host("127.0.0.1").port(listener.local_addr().unwrap().port());
        config.user(direct.get_user().unwrap()).dbname(direct.get_dbname().unwrap());

        if let Some(password) = direct.get_password() {
            config.password(password);
        }

        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = listener.accept().await.unwrap().0.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
            // Ends with the connection.
            forward(&mut from_client, &mut to_server, &counter).await.unwrap_err();
        });
        (Self(asked), config)
    }

    /// Returns how often the client has asked since the last time.
    fn taken(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

async fn forward(client: &mut OwnedReadHalf, server: &mut OwnedWriteHalf, asked: &AtomicUsize) -> io::Result<()> {
    // The first message of a connection has no type.
    let mut kind = None;
    loop {
        let length = client.read_i32().await?;
        let mut body = vec![0; usize::try_from(length - 4).unwrap()];
        client.read_exact(&mut body).await?;
        // Query, Sync and Flush.
        if matches!(kind, Some(b'Q' | b'S' | b'H')) {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let message: Vec<u8> = kind.into_iter().chain(length.to_be_bytes()).chain(body).collect();
        server.write_all(&message).await?;
        kind = Some(client.read_u8().await?);
    }
}

fn events(count: i64) -> Vec<OutboxEvent> {
    let event = |n| OutboxEvent::builder("order", "1", "OrderCreated").json(format!("{{\"n\":{n}}}")).build().unwrap();
    (0..count).map(event).collect()
}

#[tokio::test]
async fn a_thousand_events_take_one_round_trip_as_one_event_does() {
    let env = TestEnv::builder().outbox().build().await;
    let outbox = env.outbox().statement_caching(StatementCaching::Unnamed);
    let (way, config) = Counted::to(&env).await;
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(1).build().unwrap();
    let mut client = pool.get().await.unwrap();
    let tx = client.transaction().await.unwrap();
    way.taken();
    outbox.enqueue_all(&tx, &events(1_000)).await.unwrap();
    assert_eq!(way.taken(), 1);

    for event in events(2) {
        outbox.enqueue(&tx, &event).await.unwrap();
        assert_eq!(way.taken(), 1);
    }

    // The first has the statement prepared.
    for (event, expected) in events(2).iter().zip([2, 1]) {
        env.outbox().enqueue(&tx, event).await.unwrap();
        assert_eq!(way.taken(), expected);
    }
    tx.commit().await.unwrap();
    assert_eq!(way.taken(), 1);
    assert_eq!(env.rows().await, 1_004);
}
