use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_and_after_the_start_comes_once_and_in_order() {
    let fixture = WalEnv::new().await;
    fixture.insert(0..500).await;
    fixture.insert_one_by_one(500..1_500).await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let before = fixture.confirmed().await;
    fixture.insert_one_by_one(1_500..2_500).await;
    fixture.insert(2_500..3_000).await;

    let mut reader = reader();
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    let mut events = caught_up(catch_up, &mut reader).await;
    assert!(!reader.is_in_transaction());
    let caught = numbers(&events).len();
    assert!((500..=1_500).contains(&caught), "{caught}");
    events.extend(stream_rows(&mut opened.stream, &mut reader, 3_000 - caught).await);

    assert_eq!(numbers(&events), (0..3_000).collect::<Vec<_>>());
    let commits: Vec<_> =
        events.iter().filter_map(|e| if let WalEvent::Commit { end, .. } = e { Some(*end) } else { None }).collect();
    assert!(commits.is_sorted() && commits.len() == 2_002);
    assert_eq!(fixture.confirmed().await, before);
}

/// The start falls at any place of the WAL, within records and transactions too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seam_holds_under_writers_that_do_not_wait() {
    let fixture = WalEnv::new().await;
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (stop, client) = (std::sync::Arc::clone(&stop), fixture.env.client().await);
        async move {
            client.batch_execute("SET synchronous_commit = off").await.unwrap();
            let mut next = 0_u32;

            while !stop.load(Ordering::Relaxed) {
                let rows = 1 + next % 40;
                let sql = format!(
                    "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
                     SELECT gen_random_uuid(), 'order', n::text, 'e', '{{}}' FROM generate_series({next}, {}) n",
                    next + rows - 1
                );
                client.batch_execute(&sql).await.unwrap();
                next += rows;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }

            client
                .batch_execute("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'p', 'end')")
                .await
                .unwrap();
            next
        }
    });

    let mut next = 0;
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(70)).await;
        let mut opened = fixture.open(StartAt::Now).await.unwrap();
        let mut reader = reader();
        let mut events = match opened.catch_up_to_end(&fixture.options, &fixture.source).await {
            Some(catch_up) => caught_up(catch_up, &mut reader).await,
            None => Vec::new(),
        };
        events.extend(stream_rows_at_least(&mut opened.stream, &mut reader, 200).await);
        let found = numbers(&events);
        assert_eq!(found, (next..).take(found.len()).collect::<Vec<_>>(), "round {round}");

        // The next round begins after the last transaction that was whole.
        let whole = events.iter().rposition(|event| matches!(event, WalEvent::Commit { .. })).unwrap();
        if let WalEvent::Commit { end, .. } = events[whole] {
            opened.stream.confirm(end);
        }

        next += u32::try_from(numbers(&events[..whole]).len()).unwrap();
        opened.stream.close().await.unwrap();
    }

    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 400);
}

async fn stream_rows_at_least(stream: &mut WalStream, reader: &mut RowReader, rows: usize) -> Vec<WalEvent> {
    let (mut events, mut seen) = (Vec::new(), 0);
    while seen < rows {
        if let WalMessage::Data { data, .. } = within(30, stream.next()).await.unwrap()
            && let Some(event) = reader.read(&data).unwrap()
        {
            seen += usize::from(matches!(event, WalEvent::Row { .. }));
            events.push(event);
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn function_and_stream_tell_the_same() {
    let fixture = WalEnv::new().await;
    fixture.insert(0..1_000).await;
    fixture.insert_one_by_one(1_000..2_000).await;
    fixture
        .client
        .batch_execute("UPDATE outbox.outbox_message SET aggregate_type = 'x' WHERE aggregate_id = '7'")
        .await
        .unwrap();

    fixture.insert(2_000..2_010).await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let (mut by_function, mut by_stream) = (reader(), reader());
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    let function = caught_up(catch_up, &mut by_function).await;
    opened.stream.close().await.unwrap();
    opened = fixture.open(StartAt::Confirmed).await.unwrap();

    let stream = stream_rows(&mut opened.stream, &mut by_stream, 2_010).await;
    assert_eq!(function, stream);
    assert_eq!((by_function.updates(), by_stream.updates()), (1, 1));
    assert!(opened.catch_up_to_end(&fixture.options, &fixture.source).await.is_none());
}

/// The server's limit of temporary files stands for its disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_server_cannot_keep_is_for_the_stream() {
    let fixture = WalEnv::new().await;
    let options = fixture.role("SUPERUSER").await;
    fixture.set("temp_file_limit = '1MB'").await;
    fixture.set("work_mem = '64kB'").await;
    fixture.insert(0..8_000).await;

    let opened = open(&options, &fixture.source, StartAt::Now).await.unwrap();
    let mut catch_up = opened.catch_up_to_end(&options, &fixture.source).await.unwrap();
    let error = within(30, catch_up.next()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::TransactionTooLarge { after: opened.slot.confirmed_flush_lsn });
    assert!(error.needs_stream());
    opened.stream.close().await.unwrap();
    let mut opened = open(&options, &fixture.source, StartAt::Confirmed).await.unwrap();
    assert_eq!(stream_rows(&mut opened.stream, &mut reader(), 8_000).await.len(), 8_002);
    opened.stream.close().await.unwrap();
}

/// It is noticed early: a little of its WAL is gone through without success, not all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_is_for_the_stream() {
    let fixture = WalEnv::new().await;
    fixture.insert_one_by_one(0..20).await;
    fixture.insert(20..60_000).await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let mut catch_up = opened.catch_up(&fixture.options, &fixture.source).await.unwrap().unwrap();
    let mut messages = 0;
    let error = loop {
        match within(30, catch_up.next()).await {
            Ok(message) => messages += usize::from(message.is_some()),
            Err(error) => break error,
        }
    };

    assert!(messages <= 20 * 3 + 1, "begin, row and commit of each, and the table: {messages}");
    assert!(matches!(error.kind(), Kind::FewEnds { until } if *until < opened.start), "{error:?}");
    opened.stream.close().await.unwrap();
}
