//! The quickstart, and the programs of README.md with a relay between them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use outbox_core::Pipeline;
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool};
use outbox_pg::{PgOutbox, tokio_postgres::NoTls};
use outbox_relay::{Relay, RelaySettings};
use outbox_testkit::{Broker, Postgres};
use quickstart::{consume, produce};

#[test]
fn the_quickstart_prints_each_step_of_an_event() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart")).output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{errors}");

    let steps =
        ["1. service: ", "2. relay: ", "3. consumer: OrderCreated { order_id: 1, quantity: 2 }", "4. the effect"];
    for step in steps {
        assert!(printed.lines().any(|line| line.starts_with(step)), "{step}: {printed}");
    }
}

#[tokio::test]
async fn the_programs_of_the_readme_work_as_printed() {
    let (postgres, broker) = (Postgres::start().await.unwrap(), Broker::start().await.unwrap());
    let database = postgres.database().await.unwrap();
    let pool = Pool::builder(Manager::new(database.url().parse().unwrap(), NoTls)).build().unwrap();
    let mut client = pool.get().await.unwrap();
    let tables = "CREATE TABLE orders (id bigserial, quantity int);
                  CREATE TABLE reservation (order_id bigint, quantity int)";
    client.batch_execute(tables).await.unwrap();

    let worker = produce::set_up(&pool).await.unwrap();
    let config = Pipeline::recommended().config().clone().with_database_url(database.url()).unwrap();
    let relay = Relay::new(RelaySettings::builder(config, [broker.address()]).build().unwrap()).unwrap();
    let relay = relay.run(std::future::pending());

    produce::place_order(&mut client, &PgOutbox::new(Pipeline::recommended())).await.unwrap();
    let brokers = [broker.address()];
    let deadline = Instant::now() + Duration::from_secs(300);
    let reserved = async {
        while client.query_one("SELECT count(*) FROM reservation", &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline, "the order is not reserved");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = relay => panic!("the relay has ended: {ended:?}"),
        ended = consume::consume(pool.clone(), &brokers) => panic!("the consumer has ended: {ended:?}"),
        () = reserved => {}
    }
    let mut status = worker.subscribe();
    let status = status.wait_for(|status| status.health.is_some() && status.maintained.is_some()).await.unwrap();
    assert!(status.check_failure.is_none() && status.maintenance_failure.is_none(), "{:?}", *status);
}
