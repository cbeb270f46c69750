//! `outbox roles` and `outbox config generate`: files that are made from the model of the outbox.

mod command;
mod compose;
mod roles;
mod sql;
mod strimzi;
mod yaml;

pub(crate) use self::command::ConfigCommand;
pub(crate) use self::roles::Roles;
