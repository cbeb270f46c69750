//! The relay next to a connector: the same configuration, with its own slot and topics.

use std::thread::JoinHandle;

use outbox_core::ConnectorConfig;
use outbox_relay::{Error, PoisonPolicy, Relay, RelaySettings};
use tokio::sync::oneshot;

/// The prefix of the relay's topics before the connector's names.
pub(crate) const PREFIX: &str = "relayed-";

pub(crate) struct StandIn {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

/// Returns the configuration with topics that begin with a prefix.
pub(crate) fn routed_to(prefix: &str, config: &ConnectorConfig) -> ConnectorConfig {
    config.routers().fold(config.clone(), |config, router| {
        let key = format!("transforms.{router}.route.topic.replacement");
        let topics = config.get(&key).unwrap_or("outbox.event.${routedByValue}").to_owned();
        config.with(key, format!("{prefix}{topics}"))
    })
}

/// Returns the slot of the relay next to a connector.
pub(crate) fn slot(connectors: &str) -> String {
    format!("{connectors}_relay")
}

/// Returns where rows go that have no record.
pub(crate) fn dead_letters(connector: &str) -> String {
    format!("{PREFIX}{connector}-dead")
}

impl StandIn {
    pub(crate) fn start(config: &ConnectorConfig, brokers: String) -> Self {
        let config = routed_to(PREFIX, config).with("slot.name", slot(config.get("slot.name").unwrap()));
        let dead = dead_letters(config.get("topic.prefix").unwrap());
        let settings =
            RelaySettings::builder(config, [brokers]).poison(PoisonPolicy::DeadLetter(dead)).build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Relay::new(settings).unwrap().run(async { _ = stopped.await }))
        });
        Self { stop, ended }
    }

    pub(crate) fn stop(self) {
        _ = self.stop.send(());
        self.ended.join().unwrap().unwrap();
    }
}
