//! Kafka Connect's REST API.

mod address;
mod http;
mod options;
mod rest;
mod state;
mod trace;

pub(crate) use self::http::get_text;
pub(crate) use self::options::ConnectOptions;
pub(crate) use self::rest::{Rest, RestartedTasks};
pub(crate) use self::state::ConnectorState;
