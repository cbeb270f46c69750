use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Returns a role whose walsenders give up after two seconds of silence.
async fn impatient(fixture: &WalEnv) -> ConnectOptions {
    let options = fixture.role("REPLICATION").await;
    fixture.set("wal_sender_timeout = '2s'").await;
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_takes_nothing_for_three_timeouts_loses_nothing() {
    let fixture = WalEnv::new().await;
    let options = impatient(&fixture).await;
    let mut opened = open(&options, &fixture.source, StartAt::Now).await.unwrap();

    // More than all buffers hold on the way.
    fixture.insert(0..60_000).await;
    let before = fixture.confirmed().await;
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let mut reader = reader();
    let mut seen = 0;
    while seen < 60_000 {
        // A future that is dropped loses nothing.
        let message = match tokio::time::timeout(Duration::from_micros(5), opened.stream.next()).await {
            Err(_) => continue,
            Ok(message) => message.unwrap(),
        };
        if let WalMessage::Data { data, .. } = message
            && let Some(WalEvent::Row { index, .. }) = reader.read(&data).unwrap()
        {
            assert_eq!(index, seen);
            seen += 1;
        }
    }

    assert_eq!(fixture.confirmed().await, before);
    opened.stream.close().await.unwrap();
}

/// A long message arrives a few bytes at a time, over three of the walsender's timeouts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_trickles_in() {
    let fixture = WalEnv::new().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = impatient(&fixture).await;
    options.servers[0].port = proxy.local_addr().unwrap().port();

    let port = fixture.options.servers[0].port;
    let (slow_down, slowed) = tokio::sync::watch::channel(false);
    let forwarding = tokio::spawn(async move {
        loop {
            let (client, _) = proxy.accept().await.unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });

            let slowed = slowed.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 8_192];
                while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                    let piece = if *slowed.borrow() { 8 } else { length };
                    for piece in bytes[..length].chunks(piece) {
                        if to_client.write_all(piece).await.is_err() {
                            return;
                        }
                        if *slowed.borrow() {
                            tokio::time::sleep(Duration::from_millis(8)).await;
                        }
                    }
                }
            });
        }
    });

    let mut opened = open(&options, &fixture.source, StartAt::Now).await.unwrap();
    slow_down.send_replace(true);

    let sql = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
        VALUES (gen_random_uuid(), 'order', '7', 'e', to_json(repeat('y', 6000)))";
    fixture.client.batch_execute(sql).await.unwrap();
    let began = std::time::Instant::now();

    assert_eq!(numbers(&stream_rows(&mut opened.stream, &mut reader(), 1).await), [7]);
    assert!(began.elapsed() > Duration::from_secs(6), "{:?}", began.elapsed());

    drop(opened);
    forwarding.abort();
    fixture.env.slot_becomes("NOT active").await;
}

/// It waits for a lock that its output plugin needs, and answers nothing meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walsender_that_is_at_work_for_more_than_two_timeouts_is_not_given_up() {
    const SILENCE: Duration = Duration::from_secs(10);
    let fixture = WalEnv::new().await;
    let role = fixture.role("REPLICATION").await;
    fixture.set("wal_sender_timeout = 0").await;
    let options = role.timeouts(Timeouts::new().silence(SILENCE));
    let partition = "CREATE TABLE outbox.everything (LIKE outbox.outbox_message) PARTITION BY RANGE (created_at);
        ALTER TABLE outbox.everything ATTACH PARTITION outbox.outbox_message DEFAULT";
    fixture.client.batch_execute(partition).await.unwrap();
    let mut opened = open(&options, &fixture.source, StartAt::Now).await.unwrap();

    let mut other = fixture.env.client().await;
    let lock = other.transaction().await.unwrap();
    fixture.client.batch_execute("BEGIN").await.unwrap();
    fixture.insert(0..1).await;
    // The plugin looks for the table's ancestors. A new connection does not open this catalog, as it may those with
    // caches.
    lock.batch_execute("LOCK TABLE pg_inherits IN ACCESS EXCLUSIVE MODE").await.unwrap();
    fixture.client.batch_execute("COMMIT").await.unwrap();
    tokio::time::sleep(SILENCE * 5 / 2).await;
    assert!(opened.stream.buffered().unwrap().is_none_or(|message| matches!(message, WalMessage::Keepalive { .. })));
    lock.commit().await.unwrap();
    assert_eq!(numbers(&stream_rows(&mut opened.stream, &mut reader(), 1).await), [0]);
}
