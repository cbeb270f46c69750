//! The relay while Kafka or Kafka Connect ends. These tests stop the servers that all share, so they are a program of
//! their own, and take turns. `cargo xtask test` starts the servers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../relay/arrival.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod arrival;
#[path = "../relay/connector.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod connector;
#[path = "../relay/fixture.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fixture;
#[path = "../relay/load.rs"]
mod load;
#[path = "../relay/slot.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod slot;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use xtask::stack::{Service, Stack, StackError};

use self::connector::Connector;
use self::fixture::RelayEnv;
use self::load::Load;

/// Held by the test that may stop servers.
static SERVERS: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn restarts_of_kafka_under_load_lose_and_double_nothing() {
    let _turn = SERVERS.lock().await;
    let kafka = Restarted::new(Service::Kafka);
    let mut fixture = RelayEnv::new(3).await;
    let relay = fixture.start();
    let load = Load::start(&fixture, 10);
    load.writes(200).await;

    for end in [Stack::stop, Stack::kill] {
        kafka.act(end).await;
        load.writes(200).await;
        kafka.act(Stack::start).await;
        load.writes(200).await;
    }

    load.end().await;
    // The client keeps dead connections.
    fixture.env.reconnect_kafka().await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// Events that Debezium wrote and had not confirmed are recognised by the ids of its events.
#[tokio::test]
async fn the_relay_takes_over_from_a_debezium_that_was_killed_under_load_and_doubles_nothing() {
    let _turn = SERVERS.lock().await;
    let fixture = RelayEnv::new(3).await;
    let connector = Connector::of(&fixture);
    let connect = Restarted::new(Service::Connect);
    connector.create().await;
    connector.reads(&fixture).await;
    let load = Load::start(&fixture, 10);
    load.writes(500).await;
    fixture.records(500).await;
    connect.act(Stack::kill).await;
    connector.settles(&fixture).await;

    let unconfirmed = fixture.unconfirmed_records().await;
    assert!(unconfirmed > 0, "Debezium has confirmed all that it has written");

    let relay = fixture.start();
    load.writes(300).await;
    load.end().await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
    connect.act(Stack::start).await;
    drop(connector);
}

/// A server that is started again whatever becomes of the test.
struct Restarted {
    stack: Stack,
    service: Service,
}

impl Restarted {
    fn new(service: Service) -> Self {
        Self { stack: Stack::connect().unwrap(), service }
    }

    async fn act(&self, act: fn(&Stack, Service) -> Result<(), StackError>) {
        let (stack, service) = (self.stack.clone(), self.service);
        spawn_blocking(move || act(&stack, service).unwrap()).await.unwrap();
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        let (stack, service) = (self.stack.clone(), self.service);
        let started = std::thread::spawn(move || stack.start(service)).join();
        if !matches!(started, Ok(Ok(()))) {
            eprintln!("{service} stays away: {started:?}");
        }
    }
}
