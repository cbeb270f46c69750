use order_service::Database;
use outbox_test_support::eventually;
use outbox_testkit::Postgres;

use crate::fixture::tls::Certificate;

#[tokio::test]
async fn the_database_is_reached_by_tls_if_its_certificate_is_trusted() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let certificate = Certificate::new();
    certificate.install(database.url()).await;
    let url = |parameters: &str| format!("{}?{parameters}", database.url().replace("127.0.0.1", "localhost"));
    let encrypted = async |url: String| {
        let pool = Database::new(&url).unwrap().pool().await.unwrap();
        let client = pool.get().await.ok()?;
        let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
        Some(row.get::<_, bool>(0))
    };

    let authority = certificate.file().display();
    eventually("the server offers TLS", async || (encrypted(url("sslmode=require")).await == Some(true)).then_some(()))
        .await;
    assert_eq!(encrypted(url(&format!("sslmode=verify-full&sslrootcert={authority}"))).await, Some(true));
    assert_eq!(encrypted(url("sslmode=prefer&application_name=x")).await, Some(true));
    assert_eq!(encrypted(url("sslmode=disable")).await, Some(false));
    let by_address = format!("{}?sslmode=verify-full&sslrootcert={authority}", database.url());
    assert_eq!(encrypted(by_address).await, None, "the certificate is for localhost");
}
