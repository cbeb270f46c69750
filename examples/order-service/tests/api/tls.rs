use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use order_service::Database;
use outbox_test_support::{connect, eventually};
use outbox_testkit::Postgres;

#[tokio::test]
async fn the_database_is_reached_by_tls_if_its_certificate_is_trusted() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let certificate = enable_tls(database.url()).await;
    let url = |parameters: &str| format!("{}?{parameters}", database.url().replace("127.0.0.1", "localhost"));
    let encrypted = async |url: String| {
        let pool = Database::new(&url).unwrap().pool().await.unwrap();
        let client = pool.get().await.ok()?;
        let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
        Some(row.get::<_, bool>(0))
    };

    let authority = certificate.display();
    eventually("the server offers TLS", async || (encrypted(url("sslmode=require")).await == Some(true)).then_some(()))
        .await;
    assert_eq!(encrypted(url(&format!("sslmode=verify-full&sslrootcert={authority}"))).await, Some(true));
    assert_eq!(encrypted(url("sslmode=prefer&application_name=x")).await, Some(true));
    assert_eq!(encrypted(url("sslmode=disable")).await, Some(false));
    let by_address = format!("{}?sslmode=verify-full&sslrootcert={authority}", database.url());
    assert_eq!(encrypted(by_address).await, None, "the certificate is for localhost");
    std::fs::remove_file(certificate).unwrap();
}

/// Gives the server a certificate for `localhost`, and returns a file with it.
async fn enable_tls(url: &str) -> PathBuf {
    let client = connect(url).await;
    let directory: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let directory = PathBuf::from(directory);
    let owner = std::fs::metadata(&directory).unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [("tls.crt", signed.cert.pem()), ("tls.key", signed.signing_key.serialize_pem())] {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    for (name, value) in [("ssl_cert_file", "tls.crt"), ("ssl_key_file", "tls.key"), ("ssl", "on")] {
        client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let certificate = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.crt", uuid::Uuid::now_v7()));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    certificate
}
