use std::ops::Deref;
use std::time::Duration;

use tokio::time::Instant;

use crate::fixture::RelayEnv;

const PATIENCE: Duration = Duration::from_secs(60);
/// The time that a topic's ends have to stop until Debezium's producer has surely sent all it had.
const SETTLED: Duration = Duration::from_secs(2);

/// The real Debezium on a fixture's slot. It is removed with the value.
pub(crate) struct Connector(outbox_test_support::Connector);

impl Deref for Connector {
    type Target = outbox_test_support::Connector;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Connector {
    pub(crate) fn of(fixture: &RelayEnv) -> Self {
        let config = fixture.config.clone();
        Self(outbox_test_support::Connector::new(fixture.name(), config))
    }

    /// Waits until it runs and holds the slot.
    pub(crate) async fn reads(&self, fixture: &RelayEnv) {
        self.ask(|connect, name| connect.wait_running(name, PATIENCE)).await;
        fixture.slot_becomes("active").await;
    }

    /// Follows the procedure of the docs: stop, no task, slot inactive, ends that stop.
    pub(crate) async fn gives_back(&self, fixture: &RelayEnv) {
        self.ask(|connect, name| connect.stop(name)).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(|connect, name| connect.status(name)).await;
            let tasks = status["tasks"].as_array().map_or(0, Vec::len);
            if status["connector"]["state"] == "STOPPED" && tasks == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "it does not stop: {status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.settles(fixture).await;
    }

    /// Waits until the slot is free and nothing more of the connector's comes to the topic.
    pub(crate) async fn settles(&self, fixture: &RelayEnv) {
        fixture.slot_becomes("NOT active").await;
        let (mut ends, mut since) = (fixture.ends(&fixture.topic).await, Instant::now());
        while since.elapsed() < SETTLED {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = fixture.ends(&fixture.topic).await;
            if now != ends {
                (ends, since) = (now, Instant::now());
            }
        }
    }
}
