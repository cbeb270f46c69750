//! `outbox connector`: connectors of Kafka Connect.

mod apply;
mod command;
mod delete;
mod difference;
mod offsets;
mod state;
mod supervise;

pub(crate) use self::command::ConnectorCommand;
