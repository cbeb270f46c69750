use super::*;

/// Enough for four chunks: the third one is more than the pipe takes.
const ROWS: u32 = 55_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_take_turns_and_leave_nothing() {
    let fixture = WalEnv::new().await;
    fixture.insert_one_by_one(0..ROWS).await;
    let opened = fixture.open(StartAt::Now).await.unwrap();
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    // Messages that are not received stop the read, while one copy's rows are in transit and the next chunk is decoded.
    eventually("there are two copies", async || fixture.copies().await == 2).await;
    let events = caught_up(catch_up, &mut reader()).await;
    assert_eq!(numbers(&events), (0..ROWS).collect::<Vec<_>>());
    eventually("the copies are gone", async || fixture.copies().await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_does_where_the_server_has_no_room_for_another() {
    let fixture = WalEnv::new().await;
    fixture.insert_one_by_one(0..ROWS).await;
    let options = fixture.role("REPLICATION CONNECTION LIMIT 1").await;
    let opened = fixture.open(StartAt::Now).await.unwrap();
    let catch_up = opened.catch_up_to_end(&options, &fixture.source).await.unwrap();
    let events = caught_up(catch_up, &mut reader()).await;
    assert_eq!(numbers(&events), (0..ROWS).collect::<Vec<_>>());
}

impl WalEnv {
    async fn copies(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = current_database()";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}
