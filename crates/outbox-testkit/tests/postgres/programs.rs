use crate::other_process::OtherProcess;

#[test]
fn a_directory_without_postgres_is_refused_by_its_name() {
    let other = OtherProcess::start("start", &[("OUTBOX_POSTGRES_BIN", "/usr/share")]);
    assert_eq!(
        other.answer,
        "OUTBOX_POSTGRES_BIN names /usr/share, which does not hold the programs of PostgreSQL 14 or newer: there is no \
         `postgres`"
    );
}

#[cfg(feature = "download")]
#[tokio::test]
async fn a_downloaded_server_does_as_well_as_an_installed_one() {
    let other = OtherProcess::start("downloaded", &[]);
    let client = crate::connect(&other.url()).await;
    assert!(crate::show(&client, "server_version").await.starts_with("18."));
    client.batch_execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await.unwrap();
}
