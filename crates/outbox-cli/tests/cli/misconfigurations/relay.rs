//! A relay that does not publish.

use std::process::Stdio;

use outbox_test_support::TestEnv;
use tokio::process::Child;

use crate::doctor::finds;
use crate::fixture::{TempFile, order, program};

/// A relay with the address of its metrics.
struct RunningRelay {
    url: String,
    _process: Child,
}

impl RunningRelay {
    fn start(connector: &TempFile, brokers: &str, more: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", xtask::stack::free_port().unwrap());
        let arguments = ["relay", "run", "--connector", connector.path(), "--brokers", brokers, "--listen", &listen];
        let process = program(&[&arguments[..], more].concat()).stderr(Stdio::null()).spawn().unwrap();
        Self { url: format!("http://{listen}"), _process: process }
    }

    /// Waits until the doctor finds a text in this relay.
    async fn finds(&self, env: &TestEnv, connector: &TempFile, text: &str) {
        finds(env, &["--connector-config", connector.path(), "--relay", &self.url], text).await;
    }
}

#[tokio::test]
async fn a_relay_that_is_not_ready_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-unready", env.config());
    let nowhere = format!("127.0.0.1:{}", xtask::stack::free_port().unwrap());
    let relay = RunningRelay::start(&file, &nowhere, &[]);
    env.enqueue(&[order(1)]).await;
    relay.finds(&env, &file, "relay: it is not ready").await;
}

#[tokio::test]
async fn rows_that_a_relay_could_not_publish_are_found() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let file = TempFile::config(&env, "-dead", env.config());
    let dead = env.topic_of("dead");
    env.create_topic(&dead, 1).await;
    let relay = RunningRelay::start(&file, env.brokers(), &["--dead-letter-topic", &dead]);
    let poison = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
                  VALUES (gen_random_uuid(), 'no/topic', '1', 'Made', '{}')";
    env.client().await.batch_execute(poison).await.unwrap();
    relay.finds(&env, &file, "relay dead letters: 1 rows").await;
}
