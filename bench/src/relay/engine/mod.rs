//! The engine that is measured: the relay's process, or a connector on the worker.

mod debezium;
mod native;

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use tokio::task::block_in_place;

use self::debezium::Debezium;
use self::native::Native;
use crate::Outcome;
use crate::relay::setting::Setting;
use crate::run_env::RunEnv;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Relay,
    Debezium,
}

/// One that was started; dropping it ends it.
#[derive(Debug)]
pub(crate) enum Engine {
    Relay(Native),
    Debezium(Debezium),
}

impl Engine {
    /// Starts it, with the moment before that.
    pub(crate) fn start(kind: Kind, setting: &Setting, env: &RunEnv) -> Outcome<(Self, Instant)> {
        block_in_place(|| {
            let started = Instant::now();
            let engine = match kind {
                Kind::Relay => Self::Relay(Native::start(setting, env)?),
                Kind::Debezium => Self::Debezium(Debezium::start(setting, env)?),
            };
            Ok((engine, started))
        })
    }

    /// Returns an error if it has failed.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        match self {
            Self::Relay(relay) => relay.check(),
            Self::Debezium(connector) => block_in_place(|| connector.check()),
        }
    }

    /// Returns an outcome that was waited for; where it is an error, the engine's own comes first.
    pub(crate) fn judged<T>(&mut self, outcome: Outcome<T>) -> Outcome<T> {
        if outcome.is_err() {
            self.check()?;
        }
        outcome
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> Outcome<Option<u32>> {
        match self {
            Self::Relay(relay) => Ok(Some(relay.pid())),
            Self::Debezium(connector) => connector.pid(),
        }
    }

    /// Ends its process by SIGKILL and starts it again at once, with the moment between the two.
    pub(crate) fn crash(&mut self) -> Outcome<Instant> {
        block_in_place(|| match self {
            Self::Relay(relay) => relay.crash(),
            Self::Debezium(connector) => connector.crash(),
        })
    }

    /// Stops the engine in an orderly way.
    pub(crate) fn stop(self) -> Outcome<()> {
        block_in_place(|| match self {
            Self::Relay(relay) => relay.stop(),
            Self::Debezium(connector) => connector.stop(),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Relay => "relay",
            Self::Debezium => "Debezium",
        })
    }
}
