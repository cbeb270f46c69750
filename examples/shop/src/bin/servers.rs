//! PostgreSQL, a broker and the relay for development, until Ctrl-C.

use std::error::Error;

use outbox_core::Pipeline;
use outbox_pg::{Migrations, create_slot, tokio_postgres};
use outbox_relay::{Relay, RelaySettings};
use outbox_testkit::{Broker, Postgres};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (postgres, broker) = (Postgres::start().await?, Broker::start().await?);
    let database = postgres.database().await?;

    // These steps belong to a deployment: the outbox table with its publication, and the slot.
    let (mut client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    Migrations::outbox(&Pipeline::recommended()).apply(&mut client).await?;
    create_slot(&client, &Pipeline::recommended()).await?;
    drop(client);
    connection.await??;

    let config = Pipeline::recommended().config().clone().with_database_url(database.url())?;
    let relay = Relay::new(RelaySettings::builder(config, [broker.address()]).build()?)?;
    println!("export DATABASE_URL='{}' KAFKA_BROKERS={}", database.url(), broker.address());
    relay.run(async { _ = tokio::signal::ctrl_c().await }).await?;
    Ok(())
}
