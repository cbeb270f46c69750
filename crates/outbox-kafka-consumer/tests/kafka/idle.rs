use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outbox_kafka_consumer::Reader;
use outbox_test_support::{eventually, pool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::env::{ConsumerEnv, Running};
use crate::positions::store;

/// Stands before PostgreSQL and counts the statements that clients send.
struct Counter {
    port: u16,
    statements: Arc<AtomicUsize>,
}

impl Counter {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let statements = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&statements);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, counted) = (TcpStream::connect(&server).await.unwrap(), Arc::clone(&counted));
                let ((from_client, mut to_client), (mut from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { count(from_client, to_server, &counted).await });
                tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
            }
        });
        Self { port, statements }
    }

    fn taken(&self) -> usize {
        self.statements.load(Ordering::Relaxed)
    }
}

/// Forwards a client's messages. The first one has no type; `Q` is a simple query, `E` executes a prepared one.
async fn count(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, statements: &AtomicUsize) -> std::io::Result<()> {
    let mut has_type = false;
    loop {
        let kind = if has_type { Some(client.read_u8().await?) } else { None };
        let length = client.read_u32().await?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        client.read_exact(&mut body).await?;
        if let Some(kind) = kind {
            statements.fetch_add(usize::from(matches!(kind, b'Q' | b'E')), Ordering::Relaxed);
            server.write_u8(kind).await?;
        }
        server.write_u32(length).await?;
        server.write_all(&body).await?;
        has_type = true;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_idle_partitions_cost_ten_statements_a_second() {
    const PARTITIONS: i32 = 200;
    const SPAN: Duration = Duration::from_secs(10);

    let env = ConsumerEnv::with_partitions(PARTITIONS).await;
    let (start, rest) = env.url().rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let counter = Counter::before(server.to_owned()).await;
    let url = format!("{start}@127.0.0.1:{}/{database}", counter.port);
    let consumer = env.consumer().pool(pool(&url, 8)).reader(Reader::Native);
    let running = Running::start(consumer.on(store).build().unwrap());
    let client = env.client().await;
    eventually("all partitions".to_owned(), async || {
        let sql = "SELECT count(*) FROM outbox.consumer_position WHERE epoch > 0";
        let opened: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        if opened == i64::from(PARTITIONS) { Ok(()) } else { Err(opened) }
    })
    .await;

    // An event in each of a few partitions, so that the positions of others are not what is measured.
    for partition in 0..4 {
        env.produce_order(partition, i64::from(partition)).await;
        env.position(partition, 1).await;
    }

    let (before, since) = (counter.taken(), Instant::now());
    tokio::time::sleep(SPAN).await;
    let (statements, seconds) = (counter.taken() - before, since.elapsed().as_secs_f64());
    assert!(statements as f64 <= 10. * seconds, "{statements} in {seconds} s");
    assert!(statements > 0, "it looks for due events");
    running.stop().await.unwrap();
}
