//! Kafka Connect's REST API.

mod http;
mod options;
mod rest;
mod state;

pub(crate) use self::http::get_text;
pub(crate) use self::options::ConnectOptions;
pub(crate) use self::rest::{Rest, RestartedTasks};
pub(crate) use self::state::ConnectorState;
