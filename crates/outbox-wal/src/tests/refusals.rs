use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_by_its_name() {
    let fixture = Fixture::new().await;
    let source = Source::new("missing", fixture.source.publication());
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert!(matches!(&error, WalError::SlotMissing { slot } if &**slot == "missing"), "{error:?}");
    let source = Source::new(fixture.source.slot(), "missing");
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert!(matches!(&error, WalError::PublicationMissing { publication } if &**publication == "missing"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_sends_prepared_transactions_is_refused() {
    let fixture = Fixture::new().await;
    let name = format!("{}_two_phase", fixture.source.slot());
    let sql = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, true)";
    fixture.client.execute(sql, &[&name]).await.unwrap();
    let source = Source::new(&*name, fixture.source.publication());
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert!(matches!(&error, WalError::TwoPhase { slot } if **slot == *name), "{error:?}");
    fixture.client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_is_newer_than_a_row_is_told_both_ways() {
    let fixture = Fixture::new().await;
    fixture.insert(0..1).await;
    let late = Source::new(fixture.source.slot(), "late");
    fixture.client.batch_execute("CREATE PUBLICATION late FOR ALL TABLES").await.unwrap();
    let opened = open(&fixture.options, &late, StartAt::Now).await.unwrap();
    let mut catch_up = opened.catch_up_to_end(&fixture.options, &late).await.unwrap();
    let error = within(10, catch_up.next()).await.unwrap_err();
    assert!(matches!(error, WalError::PublicationMissing { .. }), "{error:?}");
    opened.stream.close().await.unwrap();
    let mut opened = open(&fixture.options, &late, StartAt::Confirmed).await.unwrap();
    let error = within(10, async {
        loop {
            if let Err(error) = opened.stream.next().await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, WalError::PublicationMissing { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_passwords() {
    let fixture = Fixture::new().await;
    let (role, database) = (fixture.database.name(), fixture.database.name());
    fixture.client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'sesame'")).await.unwrap();
    let of = |password: &str| ConnectOptions::new("127.0.0.1", fixture.port, role, database).password(password);
    let error = open(&of("sesame"), &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error, WalError::NotPermitted { .. }), "{error:?}");
    let error = open(&of("wrong"), &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error, WalError::Authentication { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("wrong"));
    let without = ConnectOptions::new("127.0.0.1", fixture.port, role, database);
    let error = open(&without, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error, WalError::NoPassword), "{error:?}");
    fixture.client.batch_execute(&format!("ALTER ROLE {role} REPLICATION")).await.unwrap();
    let opened = open(&of("sesame"), &fixture.source, StartAt::Now).await.unwrap();
    opened.stream.close().await.unwrap();
    fixture.client.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_to_the_server() {
    let fixture = Fixture::new().await;
    let named =
        ConnectOptions::new("localhost", fixture.port, "postgres", fixture.database.name()).password("postgres");
    open(&named, &fixture.source, StartAt::Now).await.unwrap().stream.close().await.unwrap();
    let encrypted = fixture.options.clone().tls_mode(TlsMode::Require);
    let error = open(&encrypted, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error, WalError::TlsRefused), "{error:?}");
    let nobody = ConnectOptions::new("127.0.0.1", xtask::stack::free_port().unwrap(), "postgres", "x");
    let error = open(&nobody, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    // It takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = ConnectOptions::new("127.0.0.1", port, "postgres", "x").timeout(Duration::from_millis(200));
    let error = open(&options, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
