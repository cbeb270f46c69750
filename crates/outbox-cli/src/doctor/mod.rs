//! `outbox doctor`: checks everything between the table and the consumers.

mod check;
mod command;
mod connect;
mod connector;
mod consumer;
mod database;
mod keys;
mod relay;
mod topics;

pub(crate) use self::command::Doctor;
