use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_leaves_the_slot_at_its_end_only() {
    let fixture = WalEnv::new().await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let before = fixture.confirmed().await;
    fixture.insert(0..1).await;
    let events = stream_rows(&mut opened.stream, &mut reader(), 1).await;
    let Some(&WalEvent::Commit { commit, end }) = events.last() else { panic!("{events:?}") };
    assert!(commit < end);
    assert_eq!(fixture.confirmed().await, before, "nothing is confirmed by itself");

    opened.stream.confirm(commit);
    fixture.wait_confirmed(commit).await;
    opened.stream.close().await.unwrap();
    let mut opened = fixture.open(StartAt::Confirmed).await.unwrap();
    assert_eq!(stream_rows(&mut opened.stream, &mut reader(), 1).await, events);

    opened.stream.confirm(end);
    opened.stream.confirm(commit);
    // Closing reports the last confirmed position.
    opened.stream.close().await.unwrap();
    assert_eq!(fixture.confirmed().await, end);
    fixture.insert(1..2).await;
    let mut opened = fixture.open(StartAt::Confirmed).await.unwrap();
    assert_eq!(numbers(&stream_rows(&mut opened.stream, &mut reader(), 1).await), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_caught_up_is_confirmed_over_the_stream() {
    let fixture = WalEnv::new().await;
    fixture.insert(0..10).await;
    fixture.insert(10..20).await;
    let opened = fixture.open(StartAt::Now).await.unwrap();
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    let events = caught_up(catch_up, &mut reader()).await;
    let end = events.iter().find_map(|event| if let WalEvent::Commit { end, .. } = event { Some(*end) } else { None });

    // Below the stream's start.
    assert!(end.unwrap() < opened.start);
    opened.stream.confirm(end.unwrap());
    fixture.wait_confirmed(end.unwrap()).await;
    opened.stream.close().await.unwrap();
    let opened = fixture.open(StartAt::Now).await.unwrap();

    // PostgreSQL 15 would go back.
    opened.stream.confirm(Lsn::new(1));
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    assert_eq!(numbers(&caught_up(catch_up, &mut reader()).await), (10..20).collect::<Vec<_>>());
    assert_eq!(fixture.confirmed().await, end.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keepalives_move_a_quiet_slot_in_a_busy_database() {
    let fixture = WalEnv::new().await;
    fixture.client.batch_execute("CREATE TABLE busy (n int)").await.unwrap();
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let before = fixture.confirmed().await;
    fixture.client.batch_execute("INSERT INTO busy SELECT generate_series(1, 10000)").await.unwrap();
    let goal = fixture.flushed().await;
    assert!(before < goal);

    within(10, async {
        loop {
            if let WalMessage::Keepalive { end, .. } = opened.stream.next().await.unwrap() {
                opened.stream.confirm(end);
                if end >= goal {
                    return;
                }
            }
        }
    })
    .await;

    opened.stream.close().await.unwrap();
    assert!(fixture.confirmed().await >= goal);
}
