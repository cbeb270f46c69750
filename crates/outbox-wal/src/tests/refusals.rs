use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::Operation;
use super::session::{Purpose, Session};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_by_its_name() {
    let fixture = WalEnv::new().await;
    let source = Source::new("missing", fixture.source.publication());
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::SlotMissing { slot } if &**slot == "missing"), "{error:?}");
    let source = Source::new(fixture.source.slot(), "missing");
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert!(
        matches!(error.kind(), Kind::PublicationMissing { publication } if &**publication == "missing"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_is_newer_than_a_row_is_told_both_ways() {
    let fixture = WalEnv::new().await;
    fixture.insert(0..1).await;
    let late = Source::new(fixture.source.slot(), "late");
    fixture.client.batch_execute("CREATE PUBLICATION late FOR ALL TABLES").await.unwrap();

    let opened = open(&fixture.options, &late, StartAt::Now).await.unwrap();
    let mut catch_up = opened.catch_up_to_end(&fixture.options, &late).await.unwrap();
    let error = within(10, catch_up.next()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::PublicationMissing { .. }), "{error:?}");
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
    assert!(matches!(error.kind(), Kind::PublicationMissing { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_passwords() {
    let fixture = WalEnv::new().await;
    let options = fixture.role("").await;
    let error = open(&options, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::NotPermitted), "{error:?}");
    let error = open(&options.clone().password("wrong"), &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Authentication), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("wrong"));

    let without = ConnectOptions { password: None, ..options.clone() };
    let error = open(&without, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::NoPassword), "{error:?}");
    fixture.client.batch_execute(&format!("ALTER ROLE {} REPLICATION", fixture.env.name())).await.unwrap();
    let opened = open(&options, &fixture.source, StartAt::Now).await.unwrap();
    opened.stream.close().await.unwrap();
}

/// A man in the middle, who does not know the password, demands a proof and then accepts any, or requests the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_off_its_proof_is_rejected() {
    let accepted: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let cleartext: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    for answer in [accepted, cleartext] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let impostor = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert!(client.read(&mut request).await.unwrap() > 0);
            client.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await.unwrap();
            assert!(client.read(&mut request).await.unwrap() > 0);
            client.write_all(answer).await.unwrap();
            client.read(&mut request).await
        });
        let options = ConnectOptions::new("127.0.0.1", port, "postgres", "x").password("sesame");
        let error = Session::open(&options.tls_mode(TlsMode::Disable), Purpose::Sql).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Impostor, "{error:?}");

        // It closes the connection, and sends no password.
        assert_eq!(impostor.await.unwrap().unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ways_to_the_server() {
    let fixture = WalEnv::new().await;
    let named =
        ConnectOptions::new("localhost", stack().postgres_port(), "postgres", fixture.env.name()).password("postgres");
    open(&named, &fixture.source, StartAt::Now).await.unwrap().stream.close().await.unwrap();
    let encrypted = fixture.options.clone().tls_mode(TlsMode::Require);
    let error = open(&encrypted, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::TlsRefused), "{error:?}");

    let nobody = ConnectOptions::new("127.0.0.1", xtask::stack::free_port().unwrap(), "postgres", "x");
    let error = open(&nobody, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");

    // It takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = ConnectOptions::new("127.0.0.1", port, "postgres", "x")
        .timeouts(Timeouts::new().connect(Duration::from_millis(200)));
    let error = open(&options, &fixture.source, StartAt::Now).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_with_two_phase_is_rejected() {
    let fixture = WalEnv::new().await;
    let name = format!("{}_two_phase", fixture.env.name());
    let sql = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, true)";
    fixture.client.execute(sql, &[&name]).await.unwrap();
    let source = Source::new(name.as_str(), fixture.source.publication());
    let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::TwoPhase { slot: name.as_str().into() });
    assert!(!error.is_transient());
}

/// A slot begins only after the transactions that run have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_being_created_is_waited_for() {
    let fixture = WalEnv::new().await;
    let mut other = fixture.env.client().await;
    let running = other.transaction().await.unwrap();
    running.execute("SELECT pg_current_xact_id()", &[]).await.unwrap();

    let name = format!("{}_new", fixture.env.name());
    let (creator, created) = (fixture.env.client().await, name.clone());
    let creation = tokio::spawn(async move {
        creator.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&created]).await.unwrap();
    });
    let source = Source::new(name.as_str(), fixture.source.publication());
    eventually("the slot is being created", async || {
        let error = open(&fixture.options, &source, StartAt::Now).await.unwrap_err();
        match error.kind() {
            Kind::SlotUnfinished { .. } if error.is_transient() => Ok(()),
            _ => Err(error),
        }
    })
    .await;

    running.commit().await.unwrap();
    creation.await.unwrap();
    open(&fixture.options, &source, StartAt::Now).await.unwrap().stream.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_or_a_right_for_the_copy_the_stream_is_needed() {
    let fixture = WalEnv::new().await;
    fixture.insert(0..1).await;
    let options = fixture.role("REPLICATION CONNECTION LIMIT 1").await;
    let mut opened = fixture.open(StartAt::Now).await.unwrap().without_connection();
    let only = Session::open(&options, Purpose::Sql).await.unwrap();
    let error = opened.catch_up(&options, &fixture.source).await.unwrap_err();
    assert!(error.needs_stream() && matches!(error.kind(), Kind::NoCopy { .. }), "{error:?}");
    drop(only);

    let sql = "REVOKE EXECUTE ON FUNCTION pg_copy_logical_replication_slot(name, name, boolean) FROM PUBLIC";
    fixture.client.batch_execute(sql).await.unwrap();
    eventually("the connection is free", async || Session::open(&options, Purpose::Sql).await.map(drop)).await;
    let error =
        eventually("the copy is not allowed", async || match opened.catch_up(&options, &fixture.source).await {
            Err(error) if error.to_string().contains("copied") && chain(&error).contains("42501") => Ok(error),
            other => Err(other),
        })
        .await;
    assert!(error.needs_stream(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_named() {
    let fixture = WalEnv::new().await;
    let pooler = xtask::stack::OwnPgBouncer::start(fixture.env.url(), 2).unwrap();
    let (address, _) = pooler.url().rsplit_once('/').unwrap();
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let options = ConnectOptions::new("127.0.0.1", port, "postgres", fixture.env.name()).password("postgres");
    let error = open(&options, &fixture.source, StartAt::Now).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Pooler, "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_the_role_do_not_hold_for_its_sessions() {
    let fixture = WalEnv::new().await;
    let options = fixture.role("REPLICATION").await;
    let limits = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"];
    for limit in limits {
        fixture.set(&format!("{limit} = '1min'")).await;
    }
    for purpose in [Purpose::Sql, Purpose::Replication] {
        let mut session = Session::open(&options, purpose).await.unwrap();
        let sql = "SELECT name FROM pg_settings WHERE name ~ '_timeout$' AND context = 'user' AND setting <> '0'
                   AND source = 'user'";
        assert_eq!(session.query(sql, Operation::Query).await.unwrap(), Vec::<Vec<Option<String>>>::new());
    }
}

fn chain(error: &Error) -> String {
    outbox_net::ErrorChain::new(error).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_server_that_fits_is_chosen() {
    let fixture = WalEnv::new().await;
    let refusing = xtask::stack::free_port().unwrap();
    // It takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ConnectOptions::new("127.0.0.1", refusing, "postgres", fixture.env.name())
        .or_server("127.0.0.1", silent.local_addr().unwrap().port())
        .timeouts(Timeouts::new().connect(Duration::from_secs(6)))
        .password("postgres");
    let error = options.choose_server().await.unwrap_err();
    let shown = error.to_string();
    assert!(
        error.is_transient() && shown.contains(&refusing.to_string()) && shown.contains("did not answer"),
        "{shown}"
    );

    let options = options.or_server("127.0.0.1", stack().postgres_port());
    let chosen = options.choose_server().await.unwrap();
    open(&chosen, &fixture.source, StartAt::Now).await.unwrap().stream.close().await.unwrap();
    // All addresses of a name are tried; PostgreSQL listens on one of them.
    let named =
        ConnectOptions::new("localhost", stack().postgres_port(), "postgres", fixture.env.name()).password("postgres");
    let chosen = named.or_server("127.0.0.1", refusing).choose_server().await.unwrap();
    open(&chosen, &fixture.source, StartAt::Now).await.unwrap().stream.close().await.unwrap();

    let error = options.clone().password("wrong").choose_server().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("the user or the password"), "{error}");
    let one = fixture.options.clone().or_server("127.0.0.1", stack().postgres_port()).password("wrong");
    assert!(!one.choose_server().await.unwrap_err().is_transient());
}
