use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_the_slot_and_a_second_gets_in_after_it() {
    let fixture = WalEnv::new().await;
    let first = fixture.open(StartAt::Now).await.unwrap();
    let sql = "SELECT system_identifier::text FROM pg_control_system()";
    let system: String = fixture.client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(first.system.system.to_string(), system);

    let error = fixture.open(StartAt::Now).await.unwrap_err();
    assert!(error.is_slot_active() && error.slot_holder().is_some() && !error.is_transient(), "{error:?}");

    let by_function = format!("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", fixture.source.slot());
    assert!(fixture.client.batch_execute(&by_function).await.is_err());
    first.stream.close().await.unwrap();
    let second = fixture.open(StartAt::Now).await.unwrap();
    drop(second);
    eventually("the slot is free", async || {
        let opened = fixture.open(StartAt::Now).await;
        assert!(opened.as_ref().err().is_none_or(Error::is_slot_active), "{opened:?}");
        opened
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walsender_that_is_ended_is_a_lost_connection() {
    let fixture = WalEnv::new().await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1";
    fixture.client.execute(sql, &[&fixture.source.slot()]).await.unwrap();

    let error = within(10, async {
        loop {
            if let Err(error) = opened.stream.next().await {
                return error;
            }
        }
    })
    .await;

    assert!(error.is_transient(), "{error:?}");
    fixture.insert(0..1).await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap();
    let catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    assert_eq!(numbers(&caught_up(catch_up, &mut reader()).await), [0]);
    assert!(opened.stream.buffered().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_goes_with_its_reader() {
    let fixture = WalEnv::new().await;
    // More than a chunk has room for before it is taken: with less, the catch-up may have ended.
    fixture.insert(0..40_000).await;

    let opened = fixture.open(StartAt::Now).await.unwrap();
    let copies = || async {
        let sql = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = current_database()";
        fixture.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let mut catch_up = opened.catch_up_to_end(&fixture.options, &fixture.source).await.unwrap();
    within(10, catch_up.next()).await.unwrap();
    assert_eq!(copies().await, 1);
    catch_up.close().await.unwrap();
    eventually("the copy is gone", async || copies().await == 0).await;
}
